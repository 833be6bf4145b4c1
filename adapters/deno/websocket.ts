/**
 * WebSocket listeners on `Deno.serve`. Limits of THREATS part E.
 *
 * @module
 */

import { formatAddress } from "../address.ts";
import { answerHttp } from "../http_answer.ts";
import { refusalOfUpgrade } from "../origin_check.ts";
import type { Address, Listener, ListenOptions, Pipe, PipeHandler } from "../runtime.ts";
import { WebSocketClientPipe } from "../web_socket_client.ts";
import { denoFailure } from "./failure.ts";
import { type DenoRequestInfo, deno } from "./globals.ts";

const PIPES_MAX = 10_000;
const CLOSE_TIMEOUT_MS = 1_000;

/** Listens for WebSockets, and answers plain HTTP requests on the same port. */
export function listenDenoWebSocket(
  address: Address,
  onPipe: (pipe: Pipe) => PipeHandler | undefined,
  options: ListenOptions,
): Promise<Listener> {
  const pipesMax = options.pipesMax ?? PIPES_MAX;
  const open = new Set<WebSocket>();
  const serve = (request: Request, info: DenoRequestInfo): Response | Promise<Response> => {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return answerHttp(request, options);
    const { host, origin } = { host: request.headers.get("host"), origin: request.headers.get("origin") };
    const refusal =
      new URL(request.url).pathname === address.path
        ? refusalOfUpgrade(host ?? undefined, origin ?? undefined, options)
        : "There is no WebSocket at this path";
    if (refusal !== undefined) return new Response(`${refusal}\n`, { status: 403 });
    if (open.size >= pipesMax) return new Response("Too many connections\n", { status: 503 });
    const { hostname, port } = info.remoteAddr; // Not to be had after the upgrade.
    const { socket, response } = deno.upgradeWebSocket(request);
    socket.binaryType = "arraybuffer";
    open.add(socket);
    socket.onopen = () => {
      const remote = formatAddress({ scheme: "ws", host: hostname, port, path: "/" });
      const pipe = new WebSocketClientPipe(socket, remote, hostname);
      const handler = onPipe(pipe);
      if (handler === undefined) {
        pipe.destroy();
        open.delete(socket);
        return;
      }
      pipe.start({
        onData: (bytes) => handler.onData(bytes),
        onWritable: () => handler.onWritable(),
        onClosed: (error) => {
          open.delete(socket);
          handler.onClosed(error);
        },
      });
    };
    return response;
  };
  return new Promise((resolve, reject) => {
    try {
      const controller = new AbortController();
      const server = deno.serve(
        { hostname: address.host, port: address.port, onListen: () => {}, signal: controller.signal },
        serve,
      );
      resolve({
        address: { ...address, port: server.addr.port },
        close: () => {
          // `shutdown` waits for upgraded sockets: aborting frees the port and leaves them.
          controller.abort();
          return Promise.race([server.finished, new Promise<void>((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS))]);
        },
      });
    } catch (error) {
      reject(denoFailure(error, "address_unavailable", address));
    }
  });
}
