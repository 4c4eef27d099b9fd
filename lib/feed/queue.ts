/**
 * What was received and not yet read, in its order. Each line's share is bounded; a socket cannot be asked to wait, so
 * whoever fills its share is told so, and has to let go of the socket.
 *
 * **In** items of lines, **Out** the same to one reader. **Knows** nothing.
 */

/** Characters of one line's share at most; an item of more is taken when nothing else waits. */
const CHARACTERS_MAX = 64 << 20;

/** One line's share. */
export interface Share {
  items: number;
  characters: number;
  /** Called when half of it is free again. */
  free: () => void;
}

export class Queue<T> {
  readonly #itemsMax: number;
  #entries: { readonly item: T; readonly share: Share; readonly size: number }[] = [];
  #head = 0;
  #isOver = false;
  #filled: () => void = () => {};

  /** `itemsMax` of each line. */
  constructor(itemsMax: number) {
    this.#itemsMax = itemsMax;
  }

  share(): Share {
    return { items: 0, characters: 0, free: () => {} };
  }

  /** Takes the item; false where the share is full. What has no size, as events, is always taken. */
  put(item: T, share: Share, size: number): boolean {
    const isFull = share.items >= this.#itemsMax || share.characters + size > CHARACTERS_MAX;
    if (isFull && size > 0 && share.items > 0) return false;
    share.items++;
    share.characters += size;
    this.#entries.push({ item, share, size });
    this.#filled();
    return true;
  }

  /** Waits until half of the share is free, or for the signal. */
  async room(share: Share, signal: AbortSignal): Promise<void> {
    if (this.#isRoomy(share) || signal.aborted) return;
    await new Promise<void>((resolve) => {
      share.free = resolve;
      signal.addEventListener("abort", share.free);
    });
    signal.removeEventListener("abort", share.free);
  }

  /** The next item; undefined when all were read and no more will come. */
  async take(): Promise<T | undefined> {
    while (this.#head === this.#entries.length) {
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => this.#filled = resolve);
    }
    const { item, share, size } = this.#entries[this.#head]!;
    this.#head++;
    // Those that were read are let go of now and then: to shift each would move all others.
    if (this.#head === this.#entries.length || this.#head >= 1_024) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    share.items--;
    share.characters -= size;
    if (this.#isRoomy(share)) share.free();
    return item;
  }

  /** No more will come. */
  end(): void {
    this.#isOver = true;
    this.#filled();
  }

  #isRoomy(share: Share): boolean {
    return share.items <= this.#itemsMax / 2 && share.characters <= CHARACTERS_MAX / 2;
  }
}
