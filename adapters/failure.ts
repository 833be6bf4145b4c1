/**
 * Turns what an operating system says into the codes of Viaduct.
 *
 * @module
 */

import type { ErrorCode } from "../core/error.ts";
import { ViaductError } from "../core/error.ts";

const CODES: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: "address_in_use",
  EADDRNOTAVAIL: "address_unavailable",
  EAFNOSUPPORT: "address_unavailable",
  EACCES: "permission",
  EPERM: "permission",
  ETIMEDOUT: "timeout",
};

/** An error of dialling or listening, with its cause. `fallback` is the code where the system says nothing special. */
export function systemFailure(error: unknown, fallback: ErrorCode): ViaductError {
  if (error instanceof ViaductError) return error;
  const code = (error as { code?: unknown } | null)?.code;
  const message = error instanceof Error ? error.message : String(error);
  return new ViaductError((typeof code === "string" ? CODES[code] : undefined) ?? fallback, {
    cause: error,
    detail: message.slice(0, 200),
  });
}

/** The reason of an aborted signal, as what a promise rejects with. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? new ViaductError("aborted");
}
