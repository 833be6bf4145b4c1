/**
 * Where files that arrive are kept while they do: the origin's private file system, so that none is ever whole in
 * memory.
 * https://fs.spec.whatwg.org/
 *
 * @module
 */

import { ViaductError } from "../../../core/error.ts";
import type { FileFacts, FileSink } from "../../../protocols/file.ts";

const MEMORY_BYTES_MAX = 64 * 1024 * 1024;

/** A sink whose result can be saved. */
export interface SavableSink extends FileSink {
  /** The finished file, on disk where the browser allows it. */
  file(): Promise<Blob>;
}

/** Opens a place for a file. */
export async function openPrivateFile(facts: FileFacts): Promise<SavableSink> {
  if (typeof navigator.storage?.getDirectory !== "function") return memorySink(facts);
  const directory = await navigator.storage.getDirectory();
  const handle = await directory.getFileHandle(`transfer-${facts.id}`, { create: true });
  const kept = (await handle.getFile()).size;
  const keptBytes = kept <= facts.size ? kept : 0;
  const writable = await handle.createWritable({ keepExistingData: keptBytes > 0 });
  if (keptBytes > 0) await writable.seek(keptBytes);
  return {
    keptBytes,
    readKept: async (offset, length) =>
      new Uint8Array(await (await handle.getFile()).slice(offset, offset + length).arrayBuffer()),
    write: async (bytes) => {
      try {
        await writable.write(bytes as Uint8Array<ArrayBuffer>);
      } catch (error) {
        const isFull = (error as { name?: string }).name === "QuotaExceededError";
        throw new ViaductError(isFull ? "disk_full" : "file_io", { cause: error });
      }
    },
    finish: async () => {
      await writable.close();
    },
    abort: async (isDiscarded) => {
      // Closing makes what was written stay for the next try; aborting would drop it.
      await writable.close().catch(() => undefined);
      if (isDiscarded) await directory.removeEntry(`transfer-${facts.id}`).catch(() => undefined);
    },
    file: () => handle.getFile(),
  };
}

function memorySink(facts: FileFacts): SavableSink {
  if (facts.size > MEMORY_BYTES_MAX) {
    throw new ViaductError("unsupported", { detail: "This browser has no private file system for so large a file" });
  }
  const parts: Uint8Array<ArrayBuffer>[] = [];
  return {
    keptBytes: 0,
    readKept: async () => new Uint8Array(0),
    write: async (bytes) => {
      parts.push(new Uint8Array(bytes));
    },
    finish: async () => {},
    abort: async () => {
      parts.length = 0;
    },
    file: async () => new Blob(parts),
  };
}
