/**
 * The handshake patterns of the Noise Protocol Framework, revision 34, as one table, and psk modifiers on top.
 *
 * The invariant to hold: a row is the pattern as the specification prints it (§7.4, §7.5, §18.1); nothing is special.
 *
 * @module
 */

/** What a message of a handshake does. Noise §7.1. */
export type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk";

/** A pattern: what is known before, and the messages, the initiator's first. */
export interface HandshakePattern {
  readonly name: string;
  /** Static keys known before the handshake. */
  readonly initiatorPreMessage: boolean;
  readonly responderPreMessage: boolean;
  readonly messages: readonly (readonly Token[])[];
}

/** `<pre-messages>|<message>|<message>…`; `S` is the initiator's, `R` the responder's known key. */
const TABLE: Readonly<Record<string, string>> = {
  // One-way, §7.4.
  N: "R|e,es",
  K: "SR|e,es,ss",
  X: "R|e,es,s,ss",
  // Fundamental interactive, §7.5.
  NN: "|e|e,ee",
  NK: "R|e,es|e,ee",
  NX: "|e|e,ee,s,es",
  XN: "|e|e,ee|s,se",
  XK: "R|e,es|e,ee|s,se",
  XX: "|e|e,ee,s,es|s,se",
  KN: "S|e|e,ee,se",
  KK: "SR|e,es,ss|e,ee,se",
  KX: "S|e|e,ee,se,s,es",
  IN: "|e,s|e,ee,se",
  IK: "R|e,es,s,ss|e,ee,se",
  IX: "|e,s|e,ee,se,s,es",
  // Deferred, §18.1.
  NK1: "R|e|e,ee,es",
  NX1: "|e|e,ee,s|es",
  X1N: "|e|e,ee|s|se",
  X1K: "R|e,es|e,ee|s|se",
  XK1: "R|e|e,ee,es|s,se",
  X1K1: "R|e|e,ee,es|s|se",
  X1X: "|e|e,ee,s,es|s|se",
  XX1: "|e|e,ee,s|es,s,se",
  X1X1: "|e|e,ee,s|es,s|se",
  K1N: "S|e|e,ee|se",
  K1K: "SR|e,es|e,ee|se",
  KK1: "SR|e|e,ee,se,es",
  K1K1: "SR|e|e,ee,es|se",
  K1X: "S|e|e,ee,s,es|se",
  KX1: "S|e|e,ee,se,s|es",
  K1X1: "S|e|e,ee,s|se,es",
  I1N: "|e,s|e,ee|se",
  I1K: "R|e,es,s|e,ee|se",
  IK1: "R|e,s|e,ee,se,es",
  I1K1: "R|e,s|e,ee,es|se",
  I1X: "|e,s|e,ee,s,es|se",
  IX1: "|e,s|e,ee,se,s|es",
  I1X1: "|e,s|e,ee,s|se,es",
};

/** Finds a pattern by name, with psk modifiers such as `IKpsk1` or `NNpsk0+psk2`; `undefined` when there is none. */
export function handshakePattern(name: string): HandshakePattern | undefined {
  const at = name.indexOf("psk");
  const base = at < 0 ? name : name.slice(0, at);
  const row = Object.hasOwn(TABLE, base) ? TABLE[base] : undefined;
  if (row === undefined) return undefined;
  const [known = "", ...rows] = row.split("|");
  const messages = rows.map((message) => message.split(",") as Token[]);
  if (at >= 0) {
    let previous = -1;
    for (const modifier of name.slice(at).split("+")) {
      const match = /^psk(\d)$/.exec(modifier);
      const place = match === null ? Number.NaN : Number(match[1]);
      // Noise §8: modifiers are sorted, so that one pattern has one name.
      if (!(place > previous)) return undefined;
      previous = place;
      // Noise §9.4: psk0 begins the first message, pskN ends the Nth.
      if (place === 0) messages[0]?.unshift("psk");
      else if (messages[place - 1] === undefined) return undefined;
      else messages[place - 1]?.push("psk");
    }
  }
  return { name, initiatorPreMessage: known.includes("S"), responderPreMessage: known.includes("R"), messages };
}

/** The names of all rows, without modifiers. */
export function patternNames(): string[] {
  return Object.keys(TABLE);
}
