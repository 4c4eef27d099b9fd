/**
 * The last ids of a series that has no counter: whether one was there shortly before. An id is remembered by 53 bits of
 * a hash: two of a thousand that are remembered share one once in 10^10 such thousands.
 *
 * **In** ids, **Out** whether they were seen; the state as numbers, oldest first. **Knows** nothing.
 */

/** Bytes of a checkpoint that one id takes at most. */
export const ID_BYTES = 17;

export class Recent {
  readonly #seen: Set<number>;
  /** In the order in which they came, from `#oldest` on around. */
  #order: number[];
  #oldest = 0;

  /** `saved` is what an earlier one had saved. */
  constructor(saved: readonly number[] = []) {
    this.#order = [...saved];
    this.#seen = new Set(saved);
  }

  get size(): number {
    return this.#order.length;
  }

  has(id: string): boolean {
    return this.#seen.has(hashOf(id));
  }

  /** Remembers an id, which it does not, and forgets the oldest where there are `max` already, 1 at least. */
  add(id: string, max: number): void {
    const hash = hashOf(id);
    if (this.#order.length !== max && this.#oldest > 0) this.#turn();
    if (this.#order.length > max) this.#forget(this.#order.length - max);
    if (this.#order.length < max) this.#order.push(hash);
    else {
      this.#seen.delete(this.#order[this.#oldest]!);
      this.#order[this.#oldest] = hash;
      this.#oldest = (this.#oldest + 1) % max;
    }
    this.#seen.add(hash);
  }

  save(): readonly number[] {
    return [...this.#order.slice(this.#oldest), ...this.#order.slice(0, this.#oldest)];
  }

  /** Puts them in order from 0 on. */
  #turn(): void {
    this.#order = [...this.save()];
    this.#oldest = 0;
  }

  #forget(count: number): void {
    for (const hash of this.#order.splice(0, count)) this.#seen.delete(hash);
  }
}

/** FNV-1a in two lanes of 32 bits, of which 53 are kept. */
function hashOf(id: string): number {
  let low = 0x811c9dc5, high = 0x9e3779b9;
  for (let i = 0; i < id.length; i++) {
    const c = id.charCodeAt(i);
    low = Math.imul(low ^ c, 0x01000193);
    high = Math.imul(high ^ c, 0x85ebca6b);
    high ^= high >>> 15;
  }
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
