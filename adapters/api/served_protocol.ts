/**
 * What a program says to serve a protocol.
 *
 * @module
 */

import { parseProtocolText } from "../../core/node/protocol_name.ts";

/** Reads texts such as `chat/1` and `chat/2` of one protocol. Throws `TypeError` on anything else. */
export function parseServed(texts: readonly string[]): { readonly name: string; readonly versions: readonly number[] } {
  const parsed = texts.map((text) => {
    const result = parseProtocolText(text);
    if (result === undefined || result.name === "") {
      throw new TypeError(`Cannot handle protocol as '${text}' is not of the form name/1`);
    }
    return result;
  });
  const name = parsed[0]?.name;
  if (name === undefined || parsed.some((other) => other.name !== name)) {
    throw new TypeError("Cannot handle protocols as one handler serves versions of exactly one name");
  }
  return { name, versions: parsed.map(({ version }) => version) };
}
