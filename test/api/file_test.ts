/** `file/1` between two nodes through a relay, over real sockets: whoever is done may leave at once. @module */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Stream } from "../../adapters/api/types.ts";
import type { FileFacts, FileResult, FileSink, FileSource } from "../../protocols/file.ts";
import { acceptOffer, answerGet, FILE_PROTOCOL, getFile, offerFile, readFileRequest } from "../../protocols/file.ts";
import { createNode, createRelay } from "./runtime_under_test.ts";

const FACTS: FileFacts = { id: "one", name: "one.bin", size: 700_001 };

function source(bytes: Uint8Array): FileSource {
  return { ...FACTS, read: async (offset, length) => bytes.slice(offset, offset + length) };
}

class MemorySink implements FileSink {
  readonly keptBytes: number;
  isFinished = false;
  #bytes: Uint8Array;

  constructor(kept: Uint8Array = new Uint8Array(0)) {
    this.#bytes = kept;
    this.keptBytes = kept.length;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  async readKept(offset: number, length: number): Promise<Uint8Array> {
    return this.#bytes.slice(offset, offset + length);
  }

  async write(bytes: Uint8Array): Promise<void> {
    const joined = new Uint8Array(this.#bytes.length + bytes.length);
    joined.set(this.#bytes);
    joined.set(bytes, this.#bytes.length);
    this.#bytes = joined;
  }

  async finish(): Promise<void> {
    this.isFinished = true;
  }

  async abort(): Promise<void> {}
}

function fileBytes(): Uint8Array {
  return Uint8Array.from({ length: FACTS.size }, (_, index) => (index * 31) ^ (index >> 8));
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

test("file: a taker that leaves once its word was heard does not fail the holder", async () => {
  const bytes = fileBytes();
  await using relay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
  const relays = [relay.ticket()];
  await using holder = await createNode({ relays });
  await holder.ready;
  const served: Promise<FileResult>[] = [];
  using _serving = holder.handle(FILE_PROTOCOL, (stream: Stream) => {
    const serving = readFileRequest(stream).then(({ request, rest }) => {
      assert.equal(request.op, "get");
      return answerGet(stream, rest, source(bytes), request.op === "get" ? request.offset : 0);
    });
    served.push(serving);
    return serving.then(() => undefined);
  });
  for (const kept of [0, 1, 400_000, FACTS.size]) {
    await using taker = await createNode({ relays });
    const peer = await taker.connect(holder.ticket());
    const sink = new MemorySink(bytes.slice(0, kept));
    const result = await getFile(await peer.open(FILE_PROTOCOL), async () => sink, { keptBytes: kept });
    // Nobody waits for what the holder still has to say.
    await peer.close();
    assert.equal(result.sha256, sha256(bytes));
    assert.equal(sha256(sink.bytes), sha256(bytes));
    assert.ok(sink.isFinished);
  }
  for (const result of await Promise.all(served)) assert.equal(result.sha256, sha256(bytes));
  assert.equal(served.length, 4);
});

test("file: a holder that leaves once it heard of the end does not fail the taker", async () => {
  const bytes = fileBytes();
  const sinks: MemorySink[] = [];
  const taken: Promise<FileResult>[] = [];
  await using relay = await createRelay({ listen: ["tcp://127.0.0.1:0"] });
  const relays = [relay.ticket()];
  await using taker = await createNode({ relays });
  await taker.ready;
  using _serving = taker.handle(FILE_PROTOCOL, (stream: Stream) => {
    const taking = readFileRequest(stream).then(({ request, rest }) => {
      assert.equal(request.op, "offer");
      if (request.op !== "offer") throw new Error("unreachable");
      const sink = new MemorySink();
      sinks.push(sink);
      return acceptOffer(stream, rest, request, sink);
    });
    taken.push(taking);
    return taking.then(() => undefined);
  });
  for (let round = 0; round < 4; round++) {
    await using holder = await createNode({ relays });
    const peer = await holder.connect(taker.ticket());
    const result = await offerFile(await peer.open(FILE_PROTOCOL), source(bytes));
    await peer.close();
    assert.equal(result.sha256, sha256(bytes));
  }
  for (const result of await Promise.all(taken)) assert.equal(result.sha256, sha256(bytes));
  assert.deepEqual(
    sinks.map(({ isFinished }) => isFinished),
    [true, true, true, true],
  );
});
