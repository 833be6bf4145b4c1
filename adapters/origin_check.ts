/**
 * Who may open a WebSocket here: a browser on the same machine runs pages of anybody. THREATS t-E3.
 *
 * The invariant to hold: a page of another site, or one that had its name rebound to this address, is refused before
 * the upgrade.
 *
 * @module
 */

import type { ListenOptions } from "./runtime.ts";

/** Says why an upgrade is refused, or `undefined` when it is allowed. `host` and `origin` are the header fields. */
export function refusalOfUpgrade(
  host: string | undefined,
  origin: string | undefined,
  options: Pick<ListenOptions, "allowedHosts" | "allowedOrigins">,
): string | undefined {
  if (host === undefined || !isAllowedHost(host, options.allowedHosts ?? [])) {
    return "The Host is not allowed here: name it in allowedHosts";
  }
  if (origin === undefined) return undefined; // No browser sent it.
  const allowed = options.allowedOrigins ?? [];
  if (allowed.includes("*") || allowed.includes(origin)) return undefined;
  // `null` (a sandbox, a file) has no host and is never the same origin.
  if (origin !== "null" && originHost(origin) === host.toLowerCase()) return undefined;
  return "The Origin is not allowed here: name it in allowedOrigins";
}

function isAllowedHost(host: string, allowed: readonly string[]): boolean {
  const name = host.toLowerCase().replace(/:\d+$/, "");
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  if (name.startsWith("[") && name.endsWith("]")) return true;
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(name)) return true;
  return allowed.includes(name) || allowed.includes("*");
}

function originHost(origin: string): string | undefined {
  const match = /^https?:\/\/([^/]+)$/.exec(origin.toLowerCase());
  return match?.[1];
}
