/**
 * How many pipes come from where: numbers at once and rates for each remote host. THREATS t-A5, t-A6.
 *
 * The invariant to hold: memory follows the pipes that are open plus a fixed number of hosts that were here lately;
 * forgetting one of those can only let something through.
 *
 * @module
 */

import type { Instant } from "../machine.ts";
import type { EndpointLimits } from "./endpoint_types.ts";

/** Hosts without a pipe whose rate is still remembered. */
const IDLE_HOSTS_MAX = 4096;

/** A remote host: an IPv4 address or an IPv6 /64, since a machine has all of one. */
export interface Host {
  readonly key: string;
  pipes: number;
  /** Pipes among them that carry no session yet. */
  unproven: number;
  /** Pipes it may open now; filled up with time. */
  tokens: number;
  filledAt: Instant;
}

/** All hosts that accepted pipes came from. */
export class HostTable {
  readonly #limits: EndpointLimits;
  readonly #active = new Map<string, Host>();
  readonly #idle = new Map<string, Host>();

  constructor(limits: EndpointLimits) {
    this.#limits = limits;
  }

  /** Hosts remembered now. */
  get size(): number {
    return this.#active.size + this.#idle.size;
  }

  /** Counts a pipe that was accepted. `undefined` when it exceeds a limit; `exempt` when none holds for it. */
  admit(remoteHost: string | undefined, now: Instant): Host | "exempt" | undefined {
    if (remoteHost === undefined || (this.#limits.isLoopbackExempt && isLoopback(remoteHost))) return "exempt";
    const key = prefixOf(remoteHost);
    const host = this.#active.get(key) ?? this.#idle.get(key) ?? this.#newHost(key, now);
    const { pipesPerHostPerSecondMax, pipeBurstPerHost, pipesPerHostMax, handshakesPerHostMax } = this.#limits;
    const gained = ((now - host.filledAt) * pipesPerHostPerSecondMax) / 1000;
    host.tokens = Math.min(pipeBurstPerHost, host.tokens + gained);
    host.filledAt = now;
    if (host.tokens < 1 || host.pipes >= pipesPerHostMax || host.unproven >= handshakesPerHostMax) {
      if (host.pipes === 0) this.#rest(host);
      return undefined;
    }
    host.tokens -= 1;
    host.pipes++;
    host.unproven++;
    this.#idle.delete(key);
    this.#active.set(key, host);
    return host;
  }

  /** A pipe of the host is gone. */
  release(host: Host): void {
    host.pipes--;
    if (host.pipes > 0) return;
    this.#active.delete(host.key);
    this.#rest(host);
  }

  #rest(host: Host): void {
    this.#idle.delete(host.key);
    this.#idle.set(host.key, host);
    if (this.#idle.size <= IDLE_HOSTS_MAX) return;
    const oldest = this.#idle.keys().next().value;
    if (oldest !== undefined) this.#idle.delete(oldest);
  }

  #newHost(key: string, now: Instant): Host {
    return { key, pipes: 0, unproven: 0, tokens: this.#limits.pipeBurstPerHost, filledAt: now };
  }
}

/** Whether an address is the machine's own. */
export function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.") || host.startsWith("::ffff:127.");
}

/** What counts as one host: an IPv4 address, also one in IPv6 form, or the /64 of an IPv6 address. THREATS t-A5. */
export function prefixOf(host: string): string {
  if (!host.includes(":")) return host;
  const bare = (host.split("%")[0] as string).toLowerCase(); // A zone names an interface here, not a place there.
  if (bare.startsWith("::ffff:") && bare.includes(".")) return bare.slice(7);
  const [head = "", tail] = bare.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? [] : tail.split(":");
    while (groups.length + after.length < 8) groups.push("0");
    groups.push(...after);
  }
  // 0db8 and db8 are the same group. RFC 4291 §2.2.
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
