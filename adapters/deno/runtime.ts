/**
 * Deno as Viaduct sees it.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { EarlyTickets } from "../../core/node/early_tickets.ts";
import { formatAddress } from "../address.ts";
import { isLinkLocal } from "../node/host_addresses.ts";
import { keyFiles } from "../node/key_file.ts";
import { resolveHost } from "../node/resolve.ts";
import { fillRandom } from "../random_fill.ts";
import type { Runtime } from "../runtime.ts";
import { clampDelay } from "../timer_delay.ts";
import { dialWebSocketClient } from "../web_socket_client.ts";
import { denoProvider } from "./crypto.ts";
import { deno } from "./globals.ts";
import { dialDenoTcp, listenDenoTcp } from "./tcp.ts";
import { bindDenoUdp } from "./udp.ts";
import { listenDenoWebSocket } from "./websocket.ts";

/** The runtime of Deno: its own TCP, HTTP and WebSocket. */
export function denoRuntime(): Runtime {
  return {
    name: "deno",
    crypto: denoProvider,
    canDial: ["tcp", "udp", "ws", "wss"],
    canListen: ["tcp", "udp", "ws"],
    keys: keyFiles,
    bindDatagrams: bindDenoUdp,
    makeEarlyTickets: (env, early) => new EarlyTickets(env, early),
    resolve: resolveHost,
    random: fillRandom,
    hostAddresses: () => {
      try {
        const all = deno.networkInterfaces().map(({ address }) => address);
        const usable = all.filter((address) => !/^(127\.|::1$)/.test(address) && !isLinkLocal(address));
        return usable.sort((left, right) => Number(left.includes(":")) - Number(right.includes(":")));
      } catch {
        return []; // Without --allow-sys.
      }
    },
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
