/**
 * What counts as one address for quotas: an IPv4 address, or the /64 that one household or machine has in IPv6.
 *
 * @module
 */

/** The group that addresses which are not known share. */
export const UNKNOWN_GROUP = "?";
/** The group of this machine: programs on it are not counted against one another. */
export const LOOPBACK_GROUP = "loopback";

const MAPPED = /^(?:::ffff:|0:0:0:0:0:ffff:)(\d+\.\d+\.\d+\.\d+)$/i;
const IPV4 = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
/** IPv6 groups that make a /64. RFC 6177: an end site gets no less. */
const PREFIX_GROUPS = 4;
const GROUPS = 8;

/** The group of a host, an IP literal without brackets, or `undefined` where it is not known. */
export function addressGroup(host: string | undefined): string {
  if (host === undefined || host === "") return UNKNOWN_GROUP;
  const bare = (host.split("%")[0] as string).toLowerCase(); // A zone names an interface here, not a place there.
  const plain = MAPPED.exec(bare)?.[1] ?? bare;
  if (IPV4.test(plain)) return plain.startsWith("127.") ? LOOPBACK_GROUP : plain;
  if (!plain.includes(":")) return plain === "localhost" ? LOOPBACK_GROUP : plain;
  const groups = expand(plain);
  if (groups === undefined) return UNKNOWN_GROUP;
  if (groups.every((group, index) => group === (index === GROUPS - 1 ? 1 : 0))) return LOOPBACK_GROUP;
  const [high = 0, low = 0] = groups.slice(6);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return addressGroup(`${high >>> 8}.${high & 0xff}.${low >>> 8}.${low & 0xff}`); // RFC 4291 §2.5.5.2
  }
  return `${groups
    .slice(0, PREFIX_GROUPS)
    .map((group) => group.toString(16))
    .join(":")}::/64`;
}

/** The host of an address such as `tcp://192.0.2.7:1234` or `ws://[::1]:80/path`, or `undefined` when it has none. */
export function hostOfRemote(remote: string): string | undefined {
  const rest = /^[a-z]+:\/\/(\[[^\]]*\]|[^/:?#]*)/.exec(remote)?.[1];
  if (rest === undefined || rest === "") return undefined;
  return rest.startsWith("[") ? rest.slice(1, -1) : rest;
}

/** The eight numbers of an IPv6 literal, or `undefined` when it is none. RFC 4291 §2.2. */
function expand(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":").map(parseGroup)));
  const left = head ?? [];
  const right = tail ?? [];
  const missing = GROUPS - left.length - right.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...left, ...new Array<number>(missing).fill(0), ...right];
  return groups.every((group) => group >= 0) ? groups : undefined;
}

function parseGroup(text: string): number {
  return /^[0-9a-f]{1,4}$/.test(text) ? Number.parseInt(text, 16) : -1;
}
