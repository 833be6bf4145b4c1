/**
 * The names of a relay between its runs.
 *
 * The invariant to hold: one save at a time, and what is saved last is the newest.
 *
 * @module
 */

/** Where state lives between runs. */
export interface StateStore {
  /** What was saved last, or `undefined` at the first start. */
  load(): Promise<Uint8Array | undefined>;
  /** Replaces what was saved, whole or not at all. */
  save(bytes: Uint8Array): Promise<void>;
}

/** Saves when told that something changed. */
export class RelayState {
  readonly #store: StateStore;
  readonly #snapshot: () => Uint8Array;
  readonly #onFailure: (error: unknown) => void;
  #saving: Promise<void> | undefined;
  #isStale = false;

  constructor(store: StateStore, snapshot: () => Uint8Array, onFailure: (error: unknown) => void) {
    this.#store = store;
    this.#snapshot = snapshot;
    this.#onFailure = onFailure;
  }

  /** Something changed. Resolves when it is saved; a failure is told and tried again at the next change. */
  save(): Promise<void> {
    this.#isStale = true;
    this.#saving ??= this.#saveAll().finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  async #saveAll(): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false;
      try {
        await this.#store.save(this.#snapshot());
      } catch (error) {
        this.#onFailure(error);
      }
    }
  }
}
