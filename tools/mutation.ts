/**
 * What a deliberate bug is: `npm run mutations` puts those of the lists in one at a time, and some test must notice.
 *
 * Each replaces a text that occurs once in its file. One that nobody could notice (an equivalent program) does not
 * belong in a list; one that no test notices shows which test is missing.
 *
 * @module
 */

/** A deliberate bug. */
export interface Mutation {
  /** What it makes go wrong, in a few words. */
  readonly name: string;
  readonly file: string;
  /** Occurs once in the file. */
  readonly before: string;
  readonly after: string;
  /** The tests that should notice, the quickest first. */
  readonly tests: readonly string[];
}
