/**
 * Deno as Viaduct sees it.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { formatAddress } from "../address.ts";
import { keyFiles } from "../node/key_file.ts";
import { fillRandom } from "../random_fill.ts";
import type { Runtime } from "../runtime.ts";
import { clampDelay } from "../timer_delay.ts";
import { dialWebSocketClient } from "../web_socket_client.ts";
import { denoProvider } from "./crypto.ts";
import { deno } from "./globals.ts";
import { dialDenoTcp, listenDenoTcp } from "./tcp.ts";
import { listenDenoWebSocket } from "./websocket.ts";

/** The runtime of Deno: its own TCP, HTTP and WebSocket. */
export function denoRuntime(): Runtime {
  return {
    name: "deno",
    crypto: denoProvider,
    canDial: ["tcp", "ws", "wss"],
    canListen: ["tcp", "ws"],
    keys: keyFiles,
    random: fillRandom,
    now: () => performance.now(),
    unixMs: () => Date.now(),
    setTimer: (callback, delayMs, options) => {
      const timer = setTimeout(callback, clampDelay(delayMs)) as unknown as number;
      if (options?.isBackground === true) deno.unrefTimer(timer);
      return { cancel: () => clearTimeout(timer) };
    },
    dial: (address, handler, options) =>
      address.scheme === "tcp"
        ? dialDenoTcp(address, handler, options)
        : dialWebSocketClient(address, handler, options),
    listen: (address, onPipe, options = {}) => {
      if (address.scheme === "tcp") return listenDenoTcp(address, onPipe, options);
      if (address.scheme === "ws") return listenDenoWebSocket(address, onPipe, options);
      const detail = `${formatAddress(address)}: put a TLS proxy in front of a ws:// listener`;
      return Promise.reject(new ViaductError("unsupported", { detail }));
    },
  };
}
