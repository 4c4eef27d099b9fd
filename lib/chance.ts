/**
 * Seeded chance: the same numbers from the same seed on every machine, from a state that can be kept.
 *
 * Chris Doty-Humphrey's sfc32, 32 bits a draw, out of additions and shifts of four words.
 * **In** a seed and a stream, or the words of an earlier generator; **Out** integers.
 * **Knows** nothing.
 */

/** State of a generator, signed integers of 32 bits. */
export type Words = readonly [number, number, number, number];

export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Goes on from `words`. */
  constructor([a, b, c, d]: Words) {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }

  /** One of the 2^32 independent streams of a seed from 0 to 2^53 - 1. */
  static of(seed: number, stream: number): Chance {
    const chance = new Chance([seed | 0, Math.floor(seed / 2 ** 32), stream | 0, 1]);
    for (let i = 0; i < 15; i++) chance.draw();
    return chance;
  }

  get words(): Words {
    return [this.#a, this.#b, this.#c, this.#d];
  }

  /** 32 bits as a signed integer. */
  draw(): number {
    const drawn = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + drawn) | 0;
    return drawn;
  }

  /** An integer from 0 to `bound` - 1; even enough for a bound far below 2^32. */
  below(bound: number): number {
    return (this.draw() >>> 0) % bound;
  }
}
