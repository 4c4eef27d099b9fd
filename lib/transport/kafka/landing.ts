/**
 * Appends whose outcome was lost: before another try the partition is looked through for what has landed, from where the
 * writer's last acknowledged append ends. A broker forgets who wrote as soon as a producer begins anew, so it cannot tell.
 *
 * Only messages of a producer can be told from others; verdicts need not, since their origins make repeats known. What a
 * broker still holds back at the look may yet land twice: at least once.
 * **In** messages of one partition, **Out** their offsets. **Knows** `transport`.
 */
import type { LogRecord, Message } from "../../transport.ts";

/** What it needs of the partition. */
export interface Shore {
  /** Writes one batch and gives the offset of its first message. */
  write(messages: readonly Message[]): Promise<number>;
  /** Where the partition ends now. */
  end(): Promise<number>;
  /** Records from an offset up to the end. */
  read(from: number): AsyncIterable<readonly LogRecord[]>;
  /** Tries again for as long as what fails may pass. */
  persist<T>(act: () => Promise<T>): Promise<T>;
}

interface Place {
  readonly first: number;
  readonly next: number;
}

/** One partition's appends, one at a time. */
export class Landing {
  readonly #shore: Shore;
  /** No message of an append in flight lies before it; null until the first. */
  #end: number | null = null;

  constructor(shore: Shore) {
    this.#shore = shore;
  }

  /** Writes a batch, and after a failure what is not there of it. */
  async write(messages: readonly Message[]): Promise<Place> {
    const { write, end, read, persist } = this.#shore;
    if (messages[0]?.producer === undefined) {
      const first = await persist(() => write(messages));
      return { first, next: first + messages.length };
    }
    const from = this.#end ??= await persist(end);
    let isRetry = false;
    const place = await persist(async (): Promise<Place> => {
      const landed = isRetry ? await landedOf(messages, read(from)) : { first: -1, next: -1, count: 0 };
      isRetry = true;
      const rest = messages.slice(landed.count);
      if (rest.length === 0) return { first: landed.first, next: landed.next };
      const first = await write(rest);
      return { first: landed.count > 0 ? landed.first : first, next: first + rest.length };
    });
    this.#end = place.next;
    return place;
  }
}

/** How many of the leading messages, all of one producer, are among the records, and where they lie. */
async function landedOf(
  messages: readonly Message[],
  records: AsyncIterable<readonly LogRecord[]>,
): Promise<Place & { readonly count: number }> {
  const landed = { first: -1, next: -1, count: 0 };
  for await (const part of records) {
    for (const { producer, offset } of part) {
      const sought = messages[landed.count]?.producer;
      if (sought === undefined) return landed;
      const isIt = producer?.number === sought.number && producer.id === sought.id && producer.epoch === sought.epoch;
      if (!isIt) continue;
      if (landed.count++ === 0) landed.first = offset;
      landed.next = offset + 1;
    }
  }
  return landed;
}
