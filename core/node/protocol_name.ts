/**
 * Names of protocols and their text form: `chat/1` is version 1 of `chat`; a raw stream is the empty name with version
 * 0 and has the empty text. Implements PROTOCOL §7.1.
 *
 * The invariant to hold: a name that was accepted here is ASCII, so its length in characters is its length in bytes.
 *
 * @module
 */

import type { ProtocolOffer } from "./node_types.ts";

/** Characters, and bytes, of the longest name. */
export const PROTOCOL_NAME_BYTES_MAX = 64;

/** Versions that one stream may offer. */
export const PROTOCOL_VERSIONS_MAX = 8;

/** The largest version: an int32, so that no implementation needs more. */
export const PROTOCOL_VERSION_MAX = 0x7fffffff;

/** Protocols with this prefix are Viaduct's own. */
export const INTERNAL_PREFIX = "viaduct.";

const TEXT = /^([a-z0-9._-]{1,64})\/(0|[1-9][0-9]{0,9})$/;

/** Whether `name` may name a protocol; the empty name is that of raw streams. */
export function isProtocolName(name: string): boolean {
  if (name.length > PROTOCOL_NAME_BYTES_MAX) return false;
  for (let index = 0; index < name.length; index++) {
    const unit = name.charCodeAt(index);
    const isLetter = unit >= 0x61 && unit <= 0x7a;
    const isDigit = unit >= 0x30 && unit <= 0x39;
    if (!isLetter && !isDigit && unit !== 0x2e && unit !== 0x5f && unit !== 0x2d) return false;
  }
  return true;
}

/** Whether `version` may be the version of a protocol. */
export function isProtocolVersion(version: number): boolean {
  return Number.isInteger(version) && version >= 0 && version <= PROTOCOL_VERSION_MAX;
}

/** The text of a name and a version: `chat/1`, and the empty text for a raw stream. */
export function protocolText(name: string, version: number): string {
  return name === "" ? "" : `${name}/${version}`;
}

/** Reads `chat/1`, or the empty text; `undefined` when it is neither. */
export function parseProtocolText(text: string): { readonly name: string; readonly version: number } | undefined {
  if (text === "") return { name: "", version: 0 };
  const match = TEXT.exec(text);
  if (match === null) return undefined;
  const version = Number(match[2]);
  return isProtocolVersion(version) ? { name: match[1] as string, version } : undefined;
}

/**
 * Makes one offer of several texts of the same protocol, the preferred version first.
 *
 * @throws {TypeError} If a text is malformed or the names differ.
 */
export function protocolOffer(texts: readonly string[]): ProtocolOffer {
  const parsed = texts.map((text) => {
    const protocol = parseProtocolText(text);
    if (protocol === undefined)
      throw new TypeError(`Cannot offer protocol as it is not of the form "name/1": "${text}"`);
    return protocol;
  });
  const name = parsed[0]?.name;
  if (name === undefined || parsed.some((protocol) => protocol.name !== name)) {
    throw new TypeError("Cannot offer protocols as one stream offers versions of exactly one name");
  }
  const versions = [...new Set(parsed.map((protocol) => protocol.version))];
  checkProtocol(name, versions, PROTOCOL_VERSIONS_MAX);
  return { name, versions };
}

/**
 * Checks a name and its versions as the application gives them.
 *
 * @throws {TypeError} If the name is malformed.
 * @throws {RangeError} If there are no versions, more than `versionsMax`, or one out of range.
 */
export function checkProtocol(name: string, versions: readonly number[], versionsMax: number): void {
  if (!isProtocolName(name)) throw new TypeError(`Cannot use protocol as its name is not [a-z0-9._-]{1,64}: "${name}"`);
  if (versions.length === 0 || versions.length > versionsMax) {
    throw new RangeError(`Cannot use protocol "${name}" as it needs 1 to ${versionsMax} versions: ${versions.length}`);
  }
  for (const version of versions) {
    if (!isProtocolVersion(version) || (name === "" && version !== 0)) {
      throw new RangeError(`Cannot use protocol "${name}" as a version is out of range: ${version}`);
    }
  }
}
