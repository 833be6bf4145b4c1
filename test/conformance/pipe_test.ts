/**
 * What every runtime's pipes and listeners must do, over loopback: order, back-pressure, ends, refusals.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, parseAddress } from "../../adapters/address.ts";
import type { Address, Listener, ListenOptions, Pipe, PipeHandler, Scheme } from "../../adapters/runtime.ts";
import { runtime } from "../api/runtime_under_test.ts";

interface End {
  pipe: Pipe;
  readonly received: Uint8Array[];
  bytes: number;
  writable: number;
  closed: { error: Error | undefined } | undefined;
}

function newEnd(): { end: End; handler: PipeHandler } {
  const end: End = { pipe: undefined as never, received: [], bytes: 0, writable: 0, closed: undefined };
  return {
    end,
    handler: {
      onData: (bytes) => {
        end.received.push(new Uint8Array(bytes));
        end.bytes += bytes.length;
      },
      onWritable: () => {
        end.writable++;
      },
      onClosed: (error) => {
        assert.equal(end.closed, undefined, "onClosed came twice");
        end.closed = { error };
      },
    },
  };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let round = 0; round < 2_000; round++) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("It never came about");
}

function local(scheme: Scheme, port = 0): Address {
  return { scheme, host: "127.0.0.1", port, path: "/" };
}

async function withPair(
  scheme: Scheme,
  act: (ends: { client: End; server: End; listener: Listener }) => Promise<void>,
): Promise<void> {
  const server = newEnd();
  const listener = await runtime.listen(local(scheme), (pipe) => {
    server.end.pipe = pipe;
    return server.handler;
  });
  const client = newEnd();
  try {
    client.end.pipe = await runtime.dial(listener.address, client.handler);
    await until(() => server.end.pipe !== undefined);
    await act({ client: client.end, server: server.end, listener });
  } finally {
    client.end.pipe?.destroy();
    server.end.pipe?.destroy();
    await listener.close();
  }
}

for (const scheme of ["tcp", "ws"] as const) {
  test(`pipe ${scheme}: bytes of all sizes arrive in order, both ways`, async () => {
    await withPair(scheme, async ({ client, server }) => {
      let value = 0;
      let sent = 0;
      for (const size of [1, 2, 100, 65_536, 3, 40_000]) {
        const chunk = Uint8Array.from({ length: size }, () => value++ & 0xff);
        sent += size;
        client.pipe.write([chunk]);
        server.pipe.write([chunk.slice(0, size >> 1), chunk.slice(size >> 1)].filter((part) => part.length > 0));
      }
      await until(() => server.bytes === sent && client.bytes === sent);
      for (const end of [client, server]) {
        let expected = 0;
        for (const part of end.received) for (const byte of part) assert.equal(byte, expected++ & 0xff);
        if (scheme === "ws") assert.ok(end.received.length >= 6, "one message each");
      }
    });
  });

  test(`pipe ${scheme}: a writer that is too quick is told, and told when there is room`, async () => {
    await withPair(scheme, async ({ client, server }) => {
      const chunk = new Uint8Array(65_536);
      let sent = 0;
      let refusals = 0;
      for (let round = 0; round < 400; round++) {
        sent += chunk.length;
        if (client.pipe.write([chunk.slice()])) continue;
        refusals++;
        const { writable } = client;
        await until(() => client.writable > writable);
        assert.ok(client.pipe.bufferedBytes < 2_000_000);
      }
      await until(() => server.bytes === sent);
      assert.ok(refusals > 0 || client.pipe.bufferedBytes === 0);
    });
  });

  test(`pipe ${scheme}: close flushes and ends both sides, destroy ends them at once`, async () => {
    await withPair(scheme, async ({ client, server }) => {
      client.pipe.write([new Uint8Array(1_000_000 >> 4), new Uint8Array(10)]);
      client.pipe.close();
      client.pipe.close();
      await until(() => client.closed !== undefined && server.closed !== undefined);
      assert.equal(server.bytes, (1_000_000 >> 4) + 10);
      assert.equal(client.pipe.write([new Uint8Array(1)]), true);
    });
    await withPair(scheme, async ({ client, server }) => {
      server.pipe.destroy();
      await until(() => client.closed !== undefined && server.closed !== undefined);
    });
  });

  test(`pipe ${scheme}: refusals of dialling and listening have their codes`, async () => {
    const { handler } = newEnd();
    await assert.rejects(runtime.dial(local(scheme, 1), handler), { code: "dial_failed" });
    const reason = new Error("no longer wanted");
    await assert.rejects(runtime.dial(local(scheme, 1), handler, { signal: AbortSignal.abort(reason) }), reason);
    const listener = await runtime.listen(local(scheme), () => undefined);
    await assert.rejects(
      runtime.listen(listener.address, () => undefined),
      { code: "address_in_use" },
    );
    await listener.close();
    const again = await runtime.listen(listener.address, () => undefined);
    await again.close();
  });

  test(`pipe ${scheme}: a pipe that nobody takes is closed`, async () => {
    const listener = await runtime.listen(local(scheme), () => undefined);
    const { end, handler } = newEnd();
    await runtime.dial(listener.address, handler).then(
      async () => await until(() => end.closed !== undefined),
      () => undefined, // Some runtimes notice while dialling.
    );
    await listener.close();
  });
}

test("pipe ws: a page of another site and a foreign Host are refused, plain requests are answered", async () => {
  const options: ListenOptions = {
    allowedOrigins: ["https://friend.example"],
    onHttpRequest: ({ path }) => (path === "/hello" ? { status: 200, body: "hi" } : undefined),
  };
  const pipes: Pipe[] = [];
  const listener = await runtime.listen(
    local("ws"),
    (pipe) => {
      pipes.push(pipe);
      return newEnd().handler;
    },
    options,
  );
  const { port } = listener.address;
  const upgrade = async (headers: string): Promise<string> => {
    const raw = newEnd();
    raw.end.pipe = await runtime.dial(local("tcp", port), raw.handler);
    const text =
      `GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n\r\n`;
    raw.end.pipe.write([new TextEncoder().encode(text)]);
    await until(() => raw.end.bytes > 12);
    raw.end.pipe.destroy();
    return new TextDecoder().decode(raw.end.received[0]).slice(9, 12);
  };
  assert.equal(await upgrade(`Host: 127.0.0.1:${port}`), "101");
  assert.equal(await upgrade(`Host: 127.0.0.1:${port}\r\nOrigin: http://127.0.0.1:${port}`), "101");
  assert.equal(await upgrade(`Host: 127.0.0.1:${port}\r\nOrigin: https://friend.example`), "101");
  assert.equal(await upgrade(`Host: 127.0.0.1:${port}\r\nOrigin: https://evil.example`), "403");
  assert.equal(await upgrade(`Host: 127.0.0.1:${port}\r\nOrigin: null`), "403");
  assert.equal(await upgrade(`Host: rebound.example:${port}\r\nOrigin: http://rebound.example:${port}`), "403");
  const answer = await fetch(`http://127.0.0.1:${port}/hello`);
  assert.equal(await answer.text(), "hi");
  assert.equal((await fetch(`http://127.0.0.1:${port}/none`)).status, 404);
  for (const pipe of pipes) pipe.destroy();
  await listener.close();
});

test("pipe ws: a message that never ends is cut off, and nothing of it is delivered", async () => {
  const server = newEnd();
  const listener = await runtime.listen(local("ws"), (pipe) => {
    server.end.pipe = pipe;
    return server.handler;
  });
  const { port } = listener.address;
  const raw = newEnd();
  raw.end.pipe = await runtime.dial(local("tcp", port), raw.handler);
  const text =
    `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
  raw.end.pipe.write([new TextEncoder().encode(text)]);
  await until(() => server.end.pipe !== undefined);
  const fragment = new Uint8Array(4 + 4 + 16_384); // Its mask is zero, and so is all that it holds.
  fragment.set([0x02, 0x80 | 126, 0x40, 0x00]);
  for (let round = 0; round < 64 && raw.end.closed === undefined; round++) {
    raw.end.pipe.write([fragment.slice()]);
    fragment[0] = 0x00;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => server.end.closed !== undefined);
  assert.equal(server.end.bytes, 0);
  raw.end.pipe.destroy();
  await listener.close();
});

test("runtime: random bytes of any length differ, timers are clamped and can be cancelled", async () => {
  const one = new Uint8Array(200_000);
  const two = new Uint8Array(200_000);
  runtime.random(one);
  runtime.random(two);
  assert.ok(one.some((byte, index) => byte !== two[index]));
  assert.ok(one.subarray(150_000).some((byte) => byte !== 0));
  let fired = 0;
  const timers = [2 ** 31, Number.POSITIVE_INFINITY, 20].map((delay) => runtime.setTimer(() => fired++, delay));
  timers[2]?.cancel();
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(fired, 0);
  for (const timer of timers) timer.cancel();
});

test("address: parses what it formats, refuses what is none", () => {
  for (const text of ["tcp://127.0.0.1:1", "tcp://[::1]:65535", "ws://host:8080/relay", "wss://host.example:443"]) {
    const address = parseAddress(text);
    assert.ok(address, text);
    assert.equal(formatAddress(address), text);
  }
  assert.equal(parseAddress("ws://host")?.port, 80);
  for (const text of [
    ...["", "tcp://host", "tcp://host:65536", "tcp://host:1/path", "http://host:1", "ws://user@host:1"],
    ...["ws://host:1/?token=secret", "ws://host:1/#x", `ws://${"a".repeat(600)}:1`, "tcp://ho st:1"],
  ]) {
    assert.equal(parseAddress(text), undefined, text);
  }
});
