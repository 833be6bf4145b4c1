/**
 * Bytes as lower-case hexadecimal text, for digests in configurations and files.
 *
 * @module
 */

export { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
