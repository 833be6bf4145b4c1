/**
 * The server of the management interface under attack: what does not end, comes too slowly, is too large or too many.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import type { ManagementBounds, ManagementServer } from "../../cli/management_server.ts";
import { serveManagement } from "../../cli/management_server.ts";

async function serve(
  bounds: ManagementBounds,
  handle: (request: Request) => Promise<Response> = async (request) => new Response(await request.text()),
): Promise<ManagementServer & AsyncDisposable> {
  const server = await serveManagement("127.0.0.1:0", handle, bounds);
  return { ...server, [Symbol.asyncDispose]: () => server.close() };
}

/** Sends a text and returns everything that came until the other end closed. */
function raw(server: ManagementServer, ...parts: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connect(Number(new URL(server.address).port), "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
    const sending = setInterval(() => socket.write("x"), 20);
    socket.on("close", () => clearInterval(sending));
    if (parts.at(-1) !== "drip") clearInterval(sending);
    socket.write(parts.filter((part) => part !== "drip").join("\r\n"));
  });
}

test("management server: requests that never end are cut off, slow ones too, and the others go on", async () => {
  await using server = await serve({ requestMs: 150 });
  const post = ["POST / HTTP/1.1", "Host: a", "Content-Length: 1000", "", ""];
  const answers = await Promise.all([
    raw(server, ""),
    raw(server, "GET / HTT"),
    raw(server, ...post),
    raw(server, ...post, "drip"),
  ]);
  for (const answer of answers) assert.equal(answer.includes(" 200 "), false);
  assert.equal(await (await fetch(server.address, { method: "POST", body: "here" })).text(), "here");
});

test("management server: a body that is too large is not read to its end, headers are bounded", async () => {
  const lengths: number[] = [];
  await using server = await serve({}, async (request) => {
    lengths.push((await request.arrayBuffer()).byteLength);
    return new Response("", { status: 413 });
  });
  const head = ["POST / HTTP/1.1", "Host: a", "Content-Length: 100000000", "", "x".repeat(200_000)];
  assert.match(await raw(server, ...head), /^HTTP\/1\.1 413 /);
  assert.ok(lengths.length === 1 && (lengths[0] as number) < 300_000);
  const wide = ["GET / HTTP/1.1", "Host: a", `Wide: ${"x".repeat(100_000)}`, "", ""];
  assert.match(await raw(server, ...wide), /^(?:HTTP\/1\.1 431 [\s\S]*)?$/);
});

test("management server: connections beyond the bound are dropped; where it cannot listen it says why", async () => {
  await using server = await serve({ connectionsMax: 2, requestMs: 300 });
  const began = await Promise.all([raw(server, "GET /"), raw(server, "GET /"), raw(server, "GET / HTTP/1.1\r\n\r\n")]);
  assert.equal(began[2], "");
  await assert.rejects(
    serveManagement("nowhere", async () => new Response()),
    { code: "address_invalid" },
  );
  await assert.rejects(
    serveManagement("127.0.0.1:70000", async () => new Response()),
    { code: "address_invalid" },
  );
  const taken = new URL(server.address).host;
  await assert.rejects(
    serveManagement(taken, async () => new Response()),
    { code: "address_in_use" },
  );
});

test("management server: what no Request can be made of, and a handler that fails, end their connection alone", async () => {
  await using server = await serve({}, async (request) => {
    if (new URL(request.url).pathname === "/fail") throw new Error("on purpose");
    return new Response(new URL(request.url).host);
  });
  for (const line of ["TRACE / HTTP/1.1", "GET /fail HTTP/1.1", "GET / HTTP/9.9", "\u0000\u0001"]) {
    assert.equal((await raw(server, line, "Host: a", "Connection: close", "", "")).includes(" 200 "), false, line);
  }
  const absolute = ["GET http://elsewhere/v1 HTTP/1.1", "Host: elsewhere", "Connection: close", "", ""];
  assert.match(await raw(server, ...absolute), / 200 [\s\S]*localhost/);
});
