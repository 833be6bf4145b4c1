/**
 * `file/1`: a file from one node to another, streamed, resumable, its SHA-256 compared at the end.
 *
 * The opener of a stream either offers a file (`offer`, answered by `accept` with the offset to go on from) or asks for
 * one (`get`, answered by `file`). Then the holder sends chunks (MessagePack binary), `end` with the hash of the whole
 * file, and the taker answers `done`. Both sides hash everything, the part from an earlier try too.
 *
 * The invariant to hold: memory is bounded by one chunk and the stream's window; what is on disk is never trusted
 * without hashing it.
 *
 * @module
 */

import { sha256 } from "@noble/hashes/sha2.js";
import type { Stream, Value } from "../adapters/api/types.ts";
import { ViaductError } from "../core/error.ts";

/** The name under which files are served. */
export const FILE_PROTOCOL = "file/1";

/** Bytes of one chunk. */
export const CHUNK_BYTES: number = 256 * 1024;
/** A tick of progress at most this often. */
const PROGRESS_EVERY_MS = 100;
const NAME_LENGTH_MAX = 255;

/** Hashes as bytes come. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  digest(): Uint8Array;
}

/** A hasher that runs everywhere; a runtime with a native one may give that instead. */
export function sha256Hasher(): Hasher {
  const hash = sha256.create();
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    digest: () => hash.digest(),
  };
}

/** What is known of a file before its bytes. */
export interface FileFacts {
  /** Stays the same over retries: names the transfer. */
  readonly id: string;
  /** A plain name without any path. */
  readonly name: string;
  readonly size: number;
}

/** Where a file is read from. */
export interface FileSource extends FileFacts {
  /**
   * Up to `length` bytes at `offset`; fewer only at the end. Rejects with `file_missing`, `file_changed`, `file_io`.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Where a file is written to. */
export interface FileSink {
  /** Bytes kept from an earlier try of the same transfer. */
  readonly keptBytes: number;
  /** Reads back what was kept, to hash it. */
  readKept(offset: number, length: number): Promise<Uint8Array>;
  /** Appends. Rejects with `disk_full` or `file_io`. */
  write(bytes: Uint8Array): Promise<void>;
  /** The hash was right: makes the file final. */
  finish(): Promise<void>;
  /** Stops here; what was written stays for the next try unless `isDiscarded`. */
  abort(isDiscarded: boolean): Promise<void>;
}

/** How far a transfer is. */
export interface FileProgress {
  readonly name: string;
  readonly size: number;
  readonly bytes: number;
  /** Bytes taken over from an earlier try. */
  readonly resumedBytes: number;
  /** Over the last seconds. */
  readonly bytesPerSecond: number;
  /** `undefined` while the rate is not known. */
  readonly remainingMs: number | undefined;
}

/** What a transfer came to. */
export interface FileResult {
  readonly name: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** Options of a transfer. */
export interface TransferOptions {
  readonly onProgress?: (progress: FileProgress) => void;
  readonly signal?: AbortSignal;
  readonly hasher?: () => Hasher;
}

/** Offers a file on a stream that this end opened, and sends it as far as the taker lacks it. */
export async function offerFile(
  stream: Stream,
  source: FileSource,
  options: TransferOptions = {},
): Promise<FileResult> {
  await stream.send({ op: "offer", id: source.id, name: source.name, size: source.size });
  const incoming = records(stream, options.signal);
  const answer = await nextRecord(incoming);
  if (answer.op !== "accept") throw refused(answer);
  return await sendFrom(stream, incoming, source, numberOf(answer.offset, source.size), options);
}

/** Takes the first record of a stream that the other end opened: an offer or a request. */
export async function readFileRequest(
  stream: Stream,
  signal?: AbortSignal,
): Promise<{
  request: (FileFacts & { readonly op: "offer" }) | { readonly op: "get"; readonly offset: number };
  rest: FileRecords;
}> {
  const rest = records(stream, signal);
  const first = await nextRecord(rest);
  if (first.op === "offer") return { request: { op: "offer", ...parseFacts(first) }, rest };
  if (first.op === "get")
    return { request: { op: "get", offset: numberOf(first.offset, Number.MAX_SAFE_INTEGER) }, rest };
  throw new ViaductError("message_invalid", { detail: "file/1 begins with offer or get" });
}

/** Serves a file that was asked for. */
export async function answerGet(
  stream: Stream,
  rest: FileRecords,
  source: FileSource,
  offset: number,
  options: TransferOptions = {},
): Promise<FileResult> {
  const from = Math.min(offset, source.size);
  await stream.send({ op: "file", id: source.id, name: source.name, size: source.size, offset: from });
  return await sendFrom(stream, rest, source, from, options);
}

/** Accepts an offer into a sink. */
export async function acceptOffer(
  stream: Stream,
  rest: FileRecords,
  facts: FileFacts,
  sink: FileSink,
  options: TransferOptions = {},
): Promise<FileResult> {
  const offset = Math.min(sink.keptBytes, facts.size);
  await stream.send({ op: "accept", offset });
  return await takeInto(stream, rest, facts, sink, offset, options);
}

/** Refuses an offer or a request, with a sentence for the person at the other end. */
export async function refuseFile(stream: Stream, reason: string): Promise<void> {
  await stream.send({ op: "refuse", reason });
  await stream.finish();
}

/** Asks for the file that the other end holds; `openSink` is told what it is and says where it goes. */
export async function getFile(
  stream: Stream,
  openSink: (facts: FileFacts) => Promise<FileSink>,
  options: TransferOptions & { readonly keptBytes?: number } = {},
): Promise<FileResult> {
  await stream.send({ op: "get", offset: options.keptBytes ?? 0 });
  const rest = records(stream, options.signal);
  const answer = await nextRecord(rest);
  if (answer.op !== "file") throw refused(answer);
  const facts = parseFacts(answer);
  const sink = await openSink(facts);
  const offset = numberOf(answer.offset, facts.size);
  if (offset > sink.keptBytes) {
    await sink.abort(false);
    throw new ViaductError("message_invalid", { detail: "The file begins beyond what was asked for" });
  }
  return await takeInto(stream, rest, facts, sink, offset, options);
}

/** Records of a `file/1` stream. */
export type FileRecords = AsyncIterableIterator<Value>;

async function sendFrom(
  stream: Stream,
  rest: FileRecords,
  source: FileSource,
  start: number,
  options: TransferOptions,
): Promise<FileResult> {
  const hasher = (options.hasher ?? sha256Hasher)();
  const meter = new Meter(source, start, options.onProgress);
  for (let offset = 0; offset < source.size; ) {
    options.signal?.throwIfAborted();
    const bytes = await source.read(offset, Math.min(CHUNK_BYTES, source.size - offset));
    if (bytes.length === 0) throw new ViaductError("file_changed", { detail: source.name });
    hasher.update(bytes);
    const next = offset + bytes.length;
    if (next > start) {
      await stream.send(offset >= start ? bytes : bytes.subarray(start - offset));
      meter.onBytes(next);
    }
    offset = next;
  }
  const hash = hasher.digest();
  await stream.send({ op: "end", sha256: hash });
  const answer = await nextRecord(rest);
  if (answer.op !== "done") throw refused(answer);
  meter.onEnd();
  // The taker has the file and may be gone already: nobody is left who had to acknowledge the end of this half.
  finishUnwatched(stream);
  return { name: source.name, size: source.size, sha256: hex(hash) };
}

async function takeInto(
  stream: Stream,
  rest: FileRecords,
  facts: FileFacts,
  sink: FileSink,
  start: number,
  options: TransferOptions,
): Promise<FileResult> {
  const hasher = (options.hasher ?? sha256Hasher)();
  const meter = new Meter(facts, start, options.onProgress);
  let isDiscarded = false;
  try {
    for (let offset = 0; offset < start; ) {
      const kept = await sink.readKept(offset, Math.min(CHUNK_BYTES, start - offset));
      if (kept.length === 0) throw new ViaductError("file_changed", { detail: "The part kept became shorter" });
      hasher.update(kept);
      offset += kept.length;
    }
    let offset = start;
    for await (const value of rest) {
      options.signal?.throwIfAborted();
      if (value instanceof Uint8Array) {
        offset += value.length;
        if (offset > facts.size) throw new ViaductError("message_invalid", { detail: "More came than announced" });
        hasher.update(value);
        await sink.write(value);
        meter.onBytes(offset);
        continue;
      }
      const record = value as Record<string, unknown>;
      if (record?.op !== "end" || !(record.sha256 instanceof Uint8Array)) throw refused(record);
      if (offset !== facts.size) throw new ViaductError("file_changed", { detail: "Fewer bytes came than announced" });
      const hash = hasher.digest();
      if (hex(hash) !== hex(record.sha256)) {
        isDiscarded = true;
        await refuseFile(stream, "The hash differs");
        throw new ViaductError("hash_mismatch", { detail: facts.name });
      }
      await sink.finish();
      meter.onEnd();
      await tellDone(stream);
      return { name: facts.name, size: facts.size, sha256: hex(hash) };
    }
    throw new ViaductError("truncated", { detail: facts.name });
  } catch (error) {
    await sink.abort(isDiscarded).catch(() => undefined);
    throw error;
  }
}

/**
 * Tells the holder that the file is here, and waits until it knows. A holder that leaves on hearing it may do so before
 * its acknowledgement: the file is here all the same.
 */
async function tellDone(stream: Stream): Promise<void> {
  try {
    await stream.send({ op: "done" });
    await stream.finish();
  } catch (error) {
    if (!(error instanceof ViaductError)) throw error;
  }
}

function finishUnwatched(stream: Stream): void {
  stream.finish().catch(() => undefined);
}

/** Measures the rate over the last few seconds and tells progress now and then. */
class Meter {
  readonly #facts: FileFacts;
  readonly #start: number;
  readonly #onProgress: ((progress: FileProgress) => void) | undefined;
  readonly #samples: { at: number; bytes: number }[] = [];
  #bytes: number;
  #toldAt = 0;

  constructor(facts: FileFacts, start: number, onProgress: ((progress: FileProgress) => void) | undefined) {
    this.#facts = facts;
    this.#start = this.#bytes = start;
    this.#onProgress = onProgress;
    this.#samples.push({ at: performance.now(), bytes: start });
    this.#tell(performance.now());
  }

  onBytes(bytes: number): void {
    this.#bytes = bytes;
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_EVERY_MS) return;
    this.#samples.push({ at: now, bytes });
    while (this.#samples.length > 2 && now - (this.#samples[0] as { at: number }).at > 5_000) this.#samples.shift();
    this.#tell(now);
  }

  onEnd(): void {
    this.#bytes = this.#facts.size;
    this.#tell(performance.now());
  }

  #tell(now: number): void {
    this.#toldAt = now;
    const first = this.#samples[0] as { at: number; bytes: number };
    const elapsedMs = now - first.at;
    const bytesPerSecond = elapsedMs > 0 ? ((this.#bytes - first.bytes) * 1000) / elapsedMs : 0;
    this.#onProgress?.({
      name: this.#facts.name,
      size: this.#facts.size,
      bytes: this.#bytes,
      resumedBytes: this.#start,
      bytesPerSecond,
      remainingMs: bytesPerSecond > 0 ? ((this.#facts.size - this.#bytes) * 1000) / bytesPerSecond : undefined,
    });
  }
}

function records(stream: Stream, signal: AbortSignal | undefined): FileRecords {
  return stream.messages(signal === undefined ? {} : { signal });
}

async function nextRecord(from: FileRecords): Promise<Record<string, unknown>> {
  const { value, done } = await from.next();
  if (done === true) throw new ViaductError("truncated", { detail: "The other side ended the transfer" });
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
    throw new ViaductError("message_invalid", { detail: "A record was expected" });
  }
  return value as Record<string, unknown>;
}

function parseFacts(record: Record<string, unknown>): FileFacts {
  const { id, name, size } = record;
  if (typeof id !== "string" || id.length === 0 || id.length > 64 || typeof name !== "string") {
    throw new ViaductError("message_invalid", { detail: "A file without id or name" });
  }
  return { id, name: safeName(name), size: numberOf(size, Number.MAX_SAFE_INTEGER) };
}

/** A name that can be used as a file name anywhere: no path, no control characters, never empty. */
export function safeName(name: string): string {
  const plain = name
    .slice(0, 4 * NAME_LENGTH_MAX)
    .replace(/^.*[/\\]/s, "")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
    .replace(/[\u0000-\u001f\u007f<>:"|?*]/g, "_")
    .replace(/^\.+/, "_")
    .slice(0, NAME_LENGTH_MAX);
  return plain === "" ? "file" : plain;
}

function numberOf(value: unknown, most: number): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > most) {
    throw new ViaductError("message_invalid", { detail: "A size or offset is out of range" });
  }
  return value;
}

function refused(record: Record<string, unknown> | null | undefined): ViaductError {
  const reason = typeof record?.reason === "string" ? record.reason.slice(0, 200) : "no reason given";
  return new ViaductError("refused", { detail: reason });
}

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
