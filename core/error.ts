/**
 * The errors of Viaduct: one closed union of stable codes for programs, numeric wire codes for peers, and a sentence
 * for people, declared together.
 *
 * The invariant to hold: blame decides the type. The caller's mistakes are `TypeError` and `RangeError`; everything
 * that the network, a peer or a lifecycle does is a `ViaductError`; the peer's protocol violations travel as wire
 * codes.
 *
 * @module
 */

/** What went wrong, as a stable string that programs switch on. */
export type ErrorCode = keyof typeof ERRORS;

interface ErrorFacts {
  /** The number in a CLOSE frame or a refusal. PROTOCOL §9. */
  readonly wire: number;
  /** What it means and what to do, for people. */
  readonly message: string;
}

/** Every code with its wire number and sentence. Numbers are never reused. */
export const ERRORS: {
  readonly [Code in
    | "closed"
    | "internal"
    | "protocol_violation"
    | "frame_encoding"
    | "flow_control"
    | "stream_limit"
    | "stream_state"
    | "final_size"
    | "crypto"
    | "version"
    | "handshake_failed"
    | "handshake_timeout"
    | "identity_mismatch"
    | "idle_timeout"
    | "resume_timeout"
    | "session_lost"
    | "truncated"
    | "replaced"
    | "banned"
    | "limit"
    | "going_away"
    | "aborted"
    | "timeout"
    | "dial_failed"
    | "unreachable"
    | "unknown_name"
    | "not_here"
    | "refused"
    | "no_relay"
    | "relay_full"
    | "token_refused"
    | "name_taken"
    | "name_invalid"
    | "quota"
    | "unknown_protocol"
    | "protocol_refused"
    | "stream_reset"
    | "stream_stopped"
    | "message_too_large"
    | "message_invalid"
    | "request_failed"
    | "datagram_too_large"
    | "handler_failed"
    | "address_invalid"
    | "address_in_use"
    | "address_unavailable"
    | "unsupported"
    | "permission"
    | "key_file"
    | "id_invalid"
    | "ticket_invalid"
    | "file_missing"
    | "file_changed"
    | "file_io"
    | "disk_full"
    | "hash_mismatch"
    | "config_invalid"
    | "token_expired"
    | "token_revoked"]: ErrorFacts;
} = {
  closed: { wire: 0x00, message: "The connection was closed" },
  internal: { wire: 0x01, message: "An internal error ended the connection: please report it" },
  protocol_violation: { wire: 0x02, message: "The peer broke the protocol" },
  frame_encoding: { wire: 0x03, message: "The peer sent a frame that cannot be decoded" },
  flow_control: { wire: 0x04, message: "The peer sent more than it was allowed to" },
  stream_limit: { wire: 0x05, message: "Too many streams are open" },
  stream_state: { wire: 0x06, message: "The peer sent a frame that its stream does not allow" },
  final_size: { wire: 0x07, message: "The peer changed the final size of a stream" },
  crypto: { wire: 0x08, message: "A package could not be authenticated" },
  version: { wire: 0x09, message: "The peer speaks no version of the protocol that is known here" },
  handshake_failed: {
    wire: 0x0a,
    message: "The handshake failed: the other side is not who it should be or does not speak Viaduct",
  },
  handshake_timeout: { wire: 0x0b, message: "The handshake was not finished in time" },
  identity_mismatch: { wire: 0x0c, message: "The node that answered has another id than the one asked for" },
  idle_timeout: { wire: 0x0d, message: "Nothing was heard from the peer for too long" },
  resume_timeout: { wire: 0x0e, message: "The session was not resumed in time: connect again" },
  session_lost: {
    wire: 0x0f,
    message: "The peer no longer knows the session, it was probably restarted: connect again",
  },
  truncated: { wire: 0x10, message: "The connection ended without a proper close" },
  replaced: { wire: 0x11, message: "Another session to the same node took over" },
  banned: { wire: 0x12, message: "The node is banned here" },
  limit: { wire: 0x13, message: "A limit was reached: try again later or raise it" },
  going_away: { wire: 0x14, message: "The other side is shutting down" },
  aborted: { wire: 0x15, message: "The operation was aborted by its signal" },
  timeout: { wire: 0x16, message: "The operation was not finished in time" },
  dial_failed: { wire: 0x17, message: "No address of the node could be reached" },
  unreachable: { wire: 0x18, message: "No way to the node is known: give an address, a ticket or a relay" },
  unknown_name: { wire: 0x19, message: "No node with that name is known at the relay" },
  not_here: { wire: 0x1a, message: "The node is not at this relay" },
  refused: { wire: 0x1b, message: "The other side refused" },
  no_relay: { wire: 0x1c, message: "No relay can be reached" },
  relay_full: { wire: 0x1d, message: "The relay is full: try again later or use another one" },
  token_refused: { wire: 0x1e, message: "The token was refused by the relay: ask for a new one" },
  name_taken: { wire: 0x1f, message: "The name is taken" },
  name_invalid: { wire: 0x20, message: "The name is not of the form [a-z0-9-]{3,32}" },
  quota: { wire: 0x21, message: "The quota is used up: wait or use a token with a larger one" },
  unknown_protocol: { wire: 0x22, message: "The peer does not serve the protocol" },
  protocol_refused: { wire: 0x23, message: "The peer refused the stream" },
  stream_reset: { wire: 0x24, message: "The peer reset the stream" },
  stream_stopped: { wire: 0x25, message: "The peer no longer reads the stream" },
  message_too_large: { wire: 0x26, message: "The message is larger than the limit" },
  message_invalid: { wire: 0x27, message: "The message cannot be encoded or decoded" },
  request_failed: { wire: 0x28, message: "The peer could not answer the request" },
  datagram_too_large: { wire: 0x29, message: "The datagram is larger than the path carries" },
  handler_failed: { wire: 0x2a, message: "The handler of the stream failed" },
  address_invalid: {
    wire: 0x2b,
    message: "The address is not of the form tcp://host:port, udp://host:port, ws://host:port/path or wss://host/path",
  },
  address_in_use: { wire: 0x2c, message: "The port is in use: choose another one, or 0 for any" },
  address_unavailable: { wire: 0x2d, message: "The address cannot be used on this machine" },
  unsupported: { wire: 0x2e, message: "This runtime cannot do that" },
  permission: { wire: 0x2f, message: "The permission for that is missing" },
  key_file: { wire: 0x30, message: "The key file cannot be used" },
  id_invalid: { wire: 0x31, message: "The node id is not valid" },
  ticket_invalid: { wire: 0x32, message: "The ticket is not valid" },
  file_missing: { wire: 0x33, message: "The file does not exist or vanished" },
  file_changed: { wire: 0x34, message: "The file changed during the transfer" },
  file_io: { wire: 0x35, message: "The file cannot be read or written" },
  disk_full: { wire: 0x36, message: "The disk is full: free some space and start again" },
  hash_mismatch: { wire: 0x37, message: "The received data does not have the announced hash" },
  config_invalid: { wire: 0x38, message: "The configuration is not valid" },
  token_expired: { wire: 0x39, message: "The token has expired: ask for a new one" },
  token_revoked: { wire: 0x3a, message: "The token was revoked" },
};

/** Options of a `ViaductError`. */
export interface ViaductErrorOptions {
  /** What caused it, if something did. */
  readonly cause?: unknown;
  /** A detail that is put after the sentence of the code. Never a secret. */
  readonly detail?: string;
  /** The application's own number, where a stream or session was closed with one. */
  readonly applicationCode?: number;
}

/** The only error that a promise of the public API rejects with, besides the reason of an `AbortSignal`. */
export class ViaductError extends Error {
  /** What went wrong. Switch on this, not on the message. */
  readonly code: ErrorCode;
  /** The application's own number, where a stream or session was closed with one. */
  readonly applicationCode: number | undefined;
  override readonly name: string = "ViaductError";

  constructor(code: ErrorCode, options: ViaductErrorOptions = {}) {
    const sentence = ERRORS[code].message;
    super(
      options.detail === undefined ? sentence : `${sentence}: ${options.detail}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.applicationCode = options.applicationCode;
  }
}

const CODES_BY_WIRE: ReadonlyMap<number, ErrorCode> = new Map(
  (Object.keys(ERRORS) as ErrorCode[]).map((code) => [ERRORS[code].wire, code]),
);

/** The code of a wire number; an unknown number means `closed`. */
export function errorCodeOfWire(wire: number): ErrorCode {
  return CODES_BY_WIRE.get(wire) ?? "closed";
}

/** What the peer did wrong: thrown only by parsing after authentication, caught at one boundary of each machine. */
export class ProtocolError extends Error {
  readonly code: ErrorCode;
  override readonly name: string = "ProtocolError";

  constructor(code: ErrorCode, reason: string) {
    super(reason);
    this.code = code;
  }
}
