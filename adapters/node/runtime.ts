/**
 * Node as Viaduct sees it.
 *
 * @module
 */

import { randomFillSync } from "node:crypto";
import { ViaductError } from "../../core/error.ts";
import { EarlyTickets } from "../../core/node/early_tickets.ts";
import { formatAddress } from "../address.ts";
import type { Runtime } from "../runtime.ts";
import { clampDelay } from "../timer_delay.ts";
import { nodeProvider } from "./crypto.ts";
import { hostAddresses } from "./host_addresses.ts";
import { keyFiles } from "./key_file.ts";
import { resolveHost } from "./resolve.ts";
import { dialTcp, listenTcp } from "./tcp.ts";
import { bindNodeUdp } from "./udp.ts";
import { dialWebSocket, listenWebSocket } from "./websocket.ts";

/** The runtime of Node: TCP by `node:net`, WebSocket by `ws`, crypto by `node:crypto`. */
export function nodeRuntime(): Runtime {
  return {
    name: "node",
    crypto: nodeProvider,
    canDial: ["tcp", "udp", "ws", "wss"],
    canListen: ["tcp", "udp", "ws"],
    keys: keyFiles,
    bindDatagrams: bindNodeUdp,
    makeEarlyTickets: (env, early) => new EarlyTickets(env, early),
    resolve: resolveHost,
    random: (out) => {
      randomFillSync(out);
    },
    hostAddresses,
    now: () => performance.now(),
    unixMs: () => Date.now(),
    setTimer: (callback, delayMs, options) => {
      const timer = setTimeout(callback, clampDelay(delayMs));
      if (options?.isBackground === true) timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
    dial: (address, handler, options = {}) =>
      address.scheme === "tcp" ? dialTcp(address, handler, options) : dialWebSocket(address, handler, options),
    listen: (address, onPipe, options = {}) => {
      if (address.scheme === "tcp") return listenTcp(address, onPipe, options);
      if (address.scheme === "ws") return listenWebSocket(address, onPipe, options);
      const detail = `${formatAddress(address)}: put a TLS proxy in front of a ws:// listener`;
      return Promise.reject(new ViaductError("unsupported", { detail }));
    },
  };
}
