/**
 * Options of a node, checked once and turned into the config of its machine.
 *
 * The invariant to hold: a wrong option is a `TypeError` or `RangeError` at once, which names it and its value.
 *
 * @module
 */

import type { DatagramRepair } from "../../core/connection/datagram_line.ts";
import { DEFAULT_SESSION_CONFIG } from "../../core/connection/session_defaults.ts";
import type { CongestionName, PathPolicy } from "../../core/connection/session_types.ts";
import type { Identity } from "../../core/crypto/identity.ts";
import { ViaductError } from "../../core/error.ts";
import type { Bytes } from "../../core/machine.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../core/node/endpoint_defaults.ts";
import { DEFAULT_NODE_LIMITS } from "../../core/node/node_defaults.ts";
import type { NodeConfig } from "../../core/node/node_types.ts";
import { encodeUtf8, utf8Bytes } from "../../core/wire/utf8.ts";
import { parseAddress } from "../address.ts";
import { isBytes } from "./bytes.ts";
import { isAnyHost } from "./own_ticket.ts";
import type { Limits, NodeOptions } from "./types.ts";

/** The defaults of `limits`. A browser holds fewer sessions. */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  sessionsMax: DEFAULT_ENDPOINT_LIMITS.sessionsMax,
  handshakesMax: DEFAULT_ENDPOINT_LIMITS.handshakesMax,
  handshakesPerAddressMax: DEFAULT_ENDPOINT_LIMITS.handshakesPerHostMax,
  handshakeTimeoutMs: DEFAULT_ENDPOINT_LIMITS.handshakeTimeoutMs,
  pipesMax: DEFAULT_ENDPOINT_LIMITS.pipesMax,
  pipesPerAddressMax: DEFAULT_ENDPOINT_LIMITS.pipesPerHostMax,
  streamsMax: DEFAULT_SESSION_CONFIG.streamsMax,
  streamWindowBytes: DEFAULT_SESSION_CONFIG.streamWindowBytes,
  sessionWindowBytes: DEFAULT_SESSION_CONFIG.sessionWindowBytes,
  sendBufferBytes: DEFAULT_SESSION_CONFIG.sendBufferBytes,
  messageBytesMax: DEFAULT_NODE_LIMITS.messageBytesMax,
  requestsMax: DEFAULT_NODE_LIMITS.requestsMax,
  messageQueueBytes: DEFAULT_NODE_LIMITS.messageQueueBytes,
});

const BROWSER_SESSIONS_MAX = 256;
const PATH_POLICIES: readonly PathPolicy[] = ["best", "aggregate", "redundant", "backup"];
const CONGESTION_NAMES: readonly CongestionName[] = ["cubic", "new_reno"];
const NAME = /^[a-z0-9-]{3,32}$/;
const ABOUT_BYTES_MAX = 128;
const TOKEN_BYTES_MAX = 64;
const ADMISSION = /^[\x21-\x7e]{1,2048}$/;
const SEED_BYTES = 32;
const INIT_MESSAGE_BYTES_MAX = 200;
/** Half of a ticket's addresses: the node's own ones find room as well. */
const ANNOUNCED_MAX = 8;

/** Fills in and checks the limits. */
export function resolveLimits(options: NodeOptions, runtimeName: string): Limits {
  const limits: Record<string, number> = { ...DEFAULT_LIMITS };
  if (runtimeName === "browser") limits.sessionsMax = BROWSER_SESSIONS_MAX;
  for (const [name, value] of Object.entries(options.limits ?? {})) {
    if (!(name in DEFAULT_LIMITS)) throw new TypeError(`Cannot create node as there is no limit '${name}'`);
    checkWhole(`limits.${name}`, value, 1, Number.MAX_SAFE_INTEGER);
    limits[name] = value;
  }
  return limits as unknown as Limits;
}

/** Turns options into the machine's config. */
export function nodeConfigOf(
  options: NodeOptions,
  limits: Limits,
  identity: Identity,
  datagramRepair?: DatagramRepair,
): NodeConfig {
  const { name, about = "", initMessage, keepAliveMs, idleTimeoutMs, resumeWindowMs } = options;
  if (name !== undefined && !NAME.test(name)) fail("name", "be of the form [a-z0-9-]{3,32}", name);
  checkBytes("initMessage", initMessage, 0, INIT_MESSAGE_BYTES_MAX);
  checkBytes("token", options.token, 1, TOKEN_BYTES_MAX);
  if (options.identity instanceof Uint8Array) checkBytes("identity", options.identity, SEED_BYTES, SEED_BYTES);
  const aboutBytes = typeof about === "string" ? utf8Bytes(about) : Number.NaN;
  if (!(aboutBytes <= ABOUT_BYTES_MAX)) fail("about", `be text of at most ${ABOUT_BYTES_MAX} bytes`, aboutBytes);
  for (const list of ["listen", "relays", "announce"] as const) {
    const value: unknown = options[list];
    if (value !== undefined && !Array.isArray(value)) fail(list, "be an array of texts", value);
  }
  checkAnnounced(options.announce ?? []);
  checkNumber("keepAliveMs", keepAliveMs, 0, 3_600_000);
  checkNumber("idleTimeoutMs", idleTimeoutMs, 1_000, 3_600_000);
  checkNumber("resumeWindowMs", resumeWindowMs, 0, 3_600_000);
  const { wanted, policy, congestion, datagramBytesMax } = options.paths ?? {};
  checkWhole("paths.wanted", wanted, 1, DEFAULT_SESSION_CONFIG.pathsMax);
  checkWhole("paths.datagramBytesMax", datagramBytesMax, 548, 65_000);
  checkChoice("paths.policy", policy, PATH_POLICIES);
  checkChoice("paths.congestion", congestion, CONGESTION_NAMES);
  const { trace } = options;
  if (trace !== undefined && typeof trace.start !== "function") fail("trace", "come from viaduct/trace", trace);
  return {
    endpoint: {
      identity,
      isAcceptManual: options.accept !== undefined,
      trace,
      session: {
        ...DEFAULT_SESSION_CONFIG,
        streamsMax: limits.streamsMax,
        streamWindowBytes: limits.streamWindowBytes,
        sessionWindowBytes: limits.sessionWindowBytes,
        sendBufferBytes: limits.sendBufferBytes,
        ...(datagramRepair === undefined ? {} : { datagramRepair }),
        ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
        ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
        ...(resumeWindowMs === undefined ? {} : { resumeWindowMs }),
        ...(wanted === undefined ? {} : { pathsWanted: wanted }),
        ...(policy === undefined ? {} : { pathPolicy: policy }),
        ...(congestion === undefined ? {} : { congestion }),
        ...(datagramBytesMax === undefined ? {} : { datagramPathBytesMax: datagramBytesMax }),
      },
      limits: {
        ...DEFAULT_ENDPOINT_LIMITS,
        sessionsMax: limits.sessionsMax,
        handshakesMax: limits.handshakesMax,
        handshakesPerHostMax: limits.handshakesPerAddressMax,
        handshakeTimeoutMs: limits.handshakeTimeoutMs,
        pipesMax: limits.pipesMax,
        pipesPerHostMax: limits.pipesPerAddressMax,
      },
    },
    limits: {
      ...DEFAULT_NODE_LIMITS,
      messageBytesMax: limits.messageBytesMax,
      requestsMax: limits.requestsMax,
      messageQueueBytes: limits.messageQueueBytes,
    },
    name,
    token: options.token,
    ...(options.admission === undefined ? {} : { admission: admissionBytes(options.admission) }),
    about,
  };
}

/** An admission as relays are shown it. The text is a secret: the error does not repeat it. */
export function admissionBytes(admission: string): Bytes {
  if (!ADMISSION.test(admission)) fail("admission", "be a signed text", typeof admission);
  return encodeUtf8(admission);
}

function checkChoice(name: string, value: string | undefined, choices: readonly string[]): void {
  if (value !== undefined && !choices.includes(value)) fail(name, `be one of ${choices.join(", ")}`, value);
}

function checkNumber(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isFinite(value) && value >= least && value <= most)) return;
  throw new RangeError(`Cannot create node as '${name}' must be from ${least} to ${most}: current value is ${value}`);
}

function checkWhole(name: string, value: number | undefined, least: number, most: number): void {
  checkNumber(name, value, least, most);
  if (value !== undefined && !Number.isInteger(value)) fail(name, "be a whole number", value);
}

function checkBytes(name: string, value: Uint8Array | undefined, least: number, most: number): void {
  if (value === undefined || (isBytes(value) && value.length >= least && value.length <= most)) return;
  const must = least === most ? `be ${most} bytes` : `be ${least} to ${most} bytes`;
  fail(name, must, isBytes(value) ? value.length : value);
}

function fail(name: string, must: string, value: unknown): never {
  throw new RangeError(`Cannot create node as '${name}' must ${must}: current value is ${String(value)}`);
}

/** What is announced goes into tickets, which nobody could use were it malformed or meant for any machine. */
function checkAnnounced(announced: readonly string[]): void {
  if (announced.length > ANNOUNCED_MAX) fail("announce", `have at most ${ANNOUNCED_MAX} addresses`, announced.length);
  for (const text of announced) {
    const address = typeof text === "string" ? parseAddress(text) : undefined;
    if (address !== undefined && !isAnyHost(address.host) && address.port !== 0) continue;
    throw new ViaductError("address_invalid", { detail: `announce: ${String(text).slice(0, 128)}` });
  }
}
