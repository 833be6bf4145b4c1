/**
 * Patterns of names and targets, as tokens and policies hold them, and the shape by which names look alike.
 *
 * The invariant to hold: matching takes at most the product of both lengths, whatever the pattern; two names of equal
 * shape are one name to a reader.
 *
 * @module
 */

const PATTERN = /^[a-z0-9*-]{1,64}$/;
const NAMESPACE = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;
const NAME_LENGTH_MIN = 3;
const NAME_LENGTH_MAX = 32;

/** Whether a text is a pattern of names: letters, digits, `-`, and `*` for any number of them. */
export function isNamePattern(text: string): boolean {
  return PATTERN.test(text);
}

/** Whether a pattern stands for one name. */
export function isExactPattern(pattern: string): boolean {
  return !pattern.includes("*");
}

/** Whether a text is a namespace: labels of a host name, in small letters. */
export function isNamespace(text: string): boolean {
  return NAMESPACE.test(text);
}

/** Whether a name is one of a pattern. */
export function matchesPattern(pattern: string, name: string): boolean {
  let at = 0;
  let index = 0;
  /** Behind the last `*`, and up to where it has swallowed. */
  let resumeAt = -1;
  let swallowed = 0;
  while (index < name.length) {
    if (pattern[at] === "*") {
      resumeAt = ++at;
      swallowed = index;
    } else if (at < pattern.length && pattern[at] === name[index]) {
      at++;
      index++;
    } else if (resumeAt >= 0) {
      at = resumeAt;
      index = ++swallowed;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}

/**
 * A name of the pattern with `random` in the place of its first `*`, others standing for nothing; `undefined` when that
 * is too short or too long for a name, or the pattern has no `*`.
 */
export function fillPattern(pattern: string, random: string): string | undefined {
  if (isExactPattern(pattern)) return undefined;
  const name = pattern.replace("*", random).replaceAll("*", "");
  return name.length >= NAME_LENGTH_MIN && name.length <= NAME_LENGTH_MAX ? name : undefined;
}

/**
 * The shape of a name: two names of one shape look alike. The idea of UTS 39 §4 (skeletons) for the only letters that a
 * name may have: `0` is `o`; `1` and `i` are `l`; `m` is `rn`; `w` is `vv`; a run of hyphens is one.
 */
export function shapeOf(name: string): string {
  let shape = "";
  for (const letter of name) {
    if (letter !== "-" || !shape.endsWith("-")) shape += LOOK.get(letter) ?? letter;
  }
  return shape;
}

const LOOK: ReadonlyMap<string, string> = new Map([
  ["0", "o"],
  ["1", "l"],
  ["i", "l"],
  ["m", "rn"],
  ["w", "vv"],
]);

/** Whom a holder may open circuits to. */
export interface TargetPattern {
  /** `undefined`: in any. */
  readonly namespace: string | undefined;
  readonly name: string;
}

/** Reads `pattern` or `namespace/pattern`, or returns `undefined` when it is neither. */
export function parseTargetPattern(text: string): TargetPattern | undefined {
  const slash = text.indexOf("/");
  const namespace = slash < 0 ? undefined : text.slice(0, slash);
  const name = text.slice(slash + 1);
  if (!isNamePattern(name)) return undefined;
  if (namespace === "*") return { namespace: undefined, name };
  return namespace !== undefined && !isNamespace(namespace) ? undefined : { namespace, name };
}
