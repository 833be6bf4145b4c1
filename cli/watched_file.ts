/**
 * A file that is read again when it changes, or when told so by SIGHUP.
 *
 * The invariant to hold: what cannot be used is told and changes nothing; a file that vanished is no change.
 *
 * @module
 */

import { statSync } from "node:fs";
import process from "node:process";

/** How often files are looked at: notices of the system differ between runtimes, and are lost on network disks. */
const LOOK_MS = 1_000;

/** A file and what its text is for. */
export interface WatchedFile {
  readonly path: string;
  /** Reads the file and puts it into force; throws when it cannot be used. */
  readonly apply: () => void;
}

/** Watches files until the signal aborts. They are taken for applied as they are now. */
export function watchFiles(
  files: readonly WatchedFile[],
  options: { readonly signal: AbortSignal; readonly onApplied: (path: string, error: unknown) => void },
): void {
  const { signal, onApplied } = options;
  const marks = new Map(files.map((file) => [file, markOf(file.path)]));
  const look = (isForced: boolean): void => {
    for (const file of files) {
      const mark = markOf(file.path);
      const isChanged = mark !== undefined && mark !== marks.get(file);
      if (!isChanged && !(isForced && mark !== undefined)) continue;
      marks.set(file, mark);
      let problem: unknown;
      try {
        file.apply();
      } catch (error) {
        problem = error;
      }
      onApplied(file.path, problem);
    }
  };
  const onHangUp = (): void => look(true);
  const timer = setInterval(() => look(false), LOOK_MS);
  process.on("SIGHUP", onHangUp);
  const stop = (): void => {
    clearInterval(timer);
    process.off("SIGHUP", onHangUp);
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
}

/** What differs when a file was written or replaced; `undefined` where there is none. */
function markOf(path: string): string | undefined {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return undefined;
  }
}
