/**
 * The pure protocol core: codecs, cryptography and state machines without any runtime, for tests, tools and other
 * adapters. What is here follows the protocol; the paved path is the main entry point.
 *
 * @module
 */

export type { DatagramCounts, DatagramLine, DatagramRepair, DatagramSendOptions } from "./connection/datagram_line.ts";
export { datagramRepair } from "./connection/repaired_datagrams.ts";
export { Session } from "./connection/session.ts";
export * from "./connection/session_defaults.ts";
export type { CloseOptions, SessionOptions } from "./connection/session_options.ts";
export type * from "./connection/session_types.ts";
export * from "./crypto/base32.ts";
export { equalBytes } from "./crypto/constant_time.ts";
export * from "./crypto/identity.ts";
export { nobleProvider } from "./crypto/noble_provider.ts";
export { NoiseHandshake, type NoiseOptions } from "./crypto/noise.ts";
export * from "./crypto/noise_patterns.ts";
export * from "./crypto/provider.ts";
export * from "./crypto/ticket.ts";
export * from "./error.ts";
export * from "./machine.ts";
export { Endpoint } from "./node/endpoint.ts";
export { DEFAULT_ENDPOINT_LIMITS } from "./node/endpoint_defaults.ts";
export type * from "./node/endpoint_types.ts";
export { NodeMachine } from "./node/node.ts";
export { DEFAULT_NODE_LIMITS } from "./node/node_defaults.ts";
export type * from "./node/node_types.ts";
export { relayExtensions } from "./node/relay_extensions.ts";
export { Relay, type RelayOptions } from "./relay/relay.ts";
export { DEFAULT_RELAY_CONFIG } from "./relay/relay_defaults.ts";
export type * from "./relay/relay_types.ts";
export { PackageDecoder } from "./wire/decoder.ts";
export * from "./wire/package.ts";
export { Reader } from "./wire/reader.ts";
export * from "./wire/utf8.ts";
export * from "./wire/varint.ts";
export { Writer } from "./wire/writer.ts";
