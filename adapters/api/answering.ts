/**
 * A request that is being answered.
 *
 * @module
 */

/** Makes its signal when somebody asks for it: an `AbortController` costs as much as a small answer. */
export class Answering {
  #controller: AbortController | undefined;
  #reason: { readonly value: unknown } | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason.value);
    }
    return this.#controller.signal;
  }

  /** The asker has given up, or is gone. */
  abort(reason: unknown): void {
    this.#reason = { value: reason };
    this.#controller?.abort(reason);
  }
}
