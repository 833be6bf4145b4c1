/**
 * Turns Deno's errors into the codes of Viaduct.
 *
 * @module
 */

import type { ErrorCode } from "../../core/error.ts";
import { ViaductError } from "../../core/error.ts";
import { formatAddress } from "../address.ts";
import type { Address } from "../runtime.ts";

const CODES: Readonly<Record<string, ErrorCode>> = {
  AddrInUse: "address_in_use",
  AddrNotAvailable: "address_unavailable",
  PermissionDenied: "permission",
  NotCapable: "permission",
  TimedOut: "timeout",
};

/** An error of dialling or listening; a missing permission is told with the flag that grants it. */
export function denoFailure(error: unknown, fallback: ErrorCode, address: Address): ViaductError {
  const name = error instanceof Error ? error.name : "";
  const detail =
    name === "NotCapable"
      ? `run with --allow-net=${address.host}:${address.port}`
      : `${formatAddress(address)}: ${error instanceof Error ? error.message : String(error)}`;
  return new ViaductError(CODES[name] ?? fallback, { cause: error, detail: detail.slice(0, 200) });
}
