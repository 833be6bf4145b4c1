/**
 * Who is at the relay, and whom lines and files go to.
 *
 * @module
 */

import type { Node, NodeId, Presence } from "../../../adapters/api/types.ts";
import { byId, make } from "./elements.ts";

/** The people of the page. */
export class People {
  readonly #node: Node;
  readonly #present = new Map<NodeId, Presence>();
  readonly #list: HTMLUListElement = byId("people");
  readonly #onJoined: (id: NodeId) => void;
  #chosen: NodeId | undefined;

  constructor(node: Node, onJoined: (id: NodeId) => void) {
    this.#node = node;
    this.#onJoined = onJoined;
    this.#draw();
    void this.#watch();
  }

  /** The node that was chosen; `undefined` for everyone. */
  get chosen(): NodeId | undefined {
    return this.#chosen;
  }

  /** Everybody but this node. */
  get others(): Presence[] {
    return [...this.#present.values()].filter(({ id }) => id !== this.#node.id);
  }

  nameOf(id: NodeId | undefined): string {
    return (id === undefined ? undefined : this.#present.get(id)?.name) ?? id?.slice(0, 8) ?? "anonymous";
  }

  async #watch(): Promise<void> {
    for await (const change of this.#node.watch()) {
      if (change.type === "joined") {
        this.#present.set(change.node.id, change.node);
        if (change.node.id !== this.#node.id) this.#onJoined(change.node.id);
      } else {
        this.#present.delete(change.node.id);
        if (this.#chosen === change.node.id) this.#chosen = undefined;
      }
      this.#draw();
    }
  }

  #draw(): void {
    const focused = (document.activeElement as HTMLElement | null)?.dataset?.nodeId;
    this.#list.replaceChildren(
      this.#entry(undefined, "Everyone", `${this.others.length} others are here`),
      ...this.others.map(({ id, name, about }) => this.#entry(id, name, `${id.slice(0, 8)} ${about}`)),
    );
    if (focused !== undefined) this.#list.querySelector<HTMLElement>(`[data-node-id="${focused}"]`)?.focus();
    const name = this.#chosen === undefined ? "everyone" : this.nameOf(this.#chosen);
    byId("chat-target").textContent = byId("line-target").textContent = name;
    const bridge = this.others.find((other) => other.name === "bridge");
    byId("file-target").textContent =
      this.#chosen === undefined ? (bridge?.name ?? "nobody yet: choose somebody") : name;
  }

  #entry(id: NodeId | undefined, name: string, detail: string): HTMLLIElement {
    const button = make("button", {
      text: name,
      attributes: {
        type: "button",
        "aria-pressed": String(this.#chosen === id),
        "data-node-id": id ?? "everyone",
        "data-name": name,
      },
    });
    button.append(make("small", { text: detail }));
    button.addEventListener("click", () => {
      this.#chosen = id;
      this.#draw();
    });
    const item = make("li");
    item.append(button);
    return item;
  }
}
