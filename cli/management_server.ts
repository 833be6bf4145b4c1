/**
 * The management interface of a relay on a port of its own, with `node:http`, which Node, Deno and Bun have.
 *
 * The invariant to hold: connections, headers and bodies are bounded in number, size and time before anything is asked.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { ViaductError } from "../core/error.ts";

const CONNECTIONS_MAX = 64;
/** A request that has not come whole by then is cut off, and a connection without one. */
const REQUEST_MS = 10_000;
/** One more than the interface takes, which refuses it then. */
const BODY_BYTES_MAX = 16 * 1024 + 1;

/** A server that runs. */
export interface ManagementServer {
  /** `http://host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Bounds that a test makes tighter. */
export interface ManagementBounds {
  readonly connectionsMax?: number;
  readonly requestMs?: number;
}

/** Serves `handle` at `host:port`. Rejects with `address_invalid`, or with why it cannot listen. */
export async function serveManagement(
  where: string,
  handle: (request: Request) => Promise<Response>,
  bounds: ManagementBounds = {},
): Promise<ManagementServer> {
  const { connectionsMax = CONNECTIONS_MAX, requestMs = REQUEST_MS } = bounds;
  const [, host, port] = /^(\[[\da-f:.]+\]|[\w.-]+):(\d{1,5})$/i.exec(where) ?? [];
  if (host === undefined || Number(port) > 65_535) {
    throw new ViaductError("address_invalid", { detail: `--manage must be HOST:PORT: '${where}'` });
  }
  const server = createServer((request, response) => {
    answer(request, response, { handle, requestMs }).catch(() => response.destroy());
  });
  server.maxConnections = connectionsMax;
  server.on("connection", (socket: Socket) => {
    // Runtimes differ in when they look at the timeouts of their HTTP server: this one holds in all of them.
    socket.setTimeout(requestMs, () => socket.destroy());
  });
  await listen(server, host.replace(/^\[|\]$/g, ""), Number(port));
  const bound = server.address();
  const boundPort = typeof bound === "object" && bound !== null ? bound.port : Number(port);
  return {
    address: `http://${host}:${boundPort}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: Error & { code?: string }) => {
      const code = error.code === "EADDRINUSE" ? "address_in_use" : "address_unavailable";
      reject(new ViaductError(code, { cause: error, detail: `${host}:${port}` }));
    });
    server.listen(port, host, resolve);
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  how: { readonly handle: (request: Request) => Promise<Response>; readonly requestMs: number },
): Promise<void> {
  const bytes = await bodyOf(request, how.requestMs);
  const headers = new Headers();
  for (const name of ["authorization", "content-type"]) {
    const value = request.headers[name];
    if (typeof value === "string") headers.set(name, value);
  }
  const { method = "GET", url = "/" } = request;
  // What is behind the path, a query or a host of the caller's choice, has no meaning here.
  const path = url.startsWith("/") ? url : "/";
  const body = method === "GET" || method === "HEAD" || bytes.length === 0 ? {} : { body: bytes };
  const result = await how.handle(new Request(`http://localhost${path}`, { method, headers, ...body }));
  response.writeHead(result.status, Object.fromEntries(result.headers));
  response.end(Buffer.from(await result.arrayBuffer()));
  // A body that goes on is not waited for.
  if (bytes.length >= BODY_BYTES_MAX) response.once("finish", () => request.destroy());
}

/** The body, or so much of it that it is too much. */
function bodyOf(request: IncomingMessage, withinMs: number): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    // A byte now and then keeps a connection from being idle: the whole has its time too.
    const timer = setTimeout(() => reject(new Error("The body did not come in time")), withinMs);
    const finish = (): void => {
      clearTimeout(timer);
      request.pause();
      resolve(new Uint8Array(Buffer.concat(chunks)));
    };
    request.on("data", (chunk: Buffer) => {
      if (length >= BODY_BYTES_MAX) return;
      chunks.push(chunk);
      length += chunk.length;
      if (length >= BODY_BYTES_MAX) finish();
    });
    request.once("end", finish);
    request.once("close", () => {
      clearTimeout(timer);
      reject(new Error("The request was cut off"));
    });
    request.on("error", reject);
  });
}
