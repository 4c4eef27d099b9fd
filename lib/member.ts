/**
 * One reader among those of a group on this machine: who is there, which partitions are mine, and a lock on each, so
 * that no partition is read twice at once. Presence and ownership are advisory file locks, which the system releases
 * when a process dies, however it dies.
 *
 * **In** a group's folder, **Out** the partitions that this member owns now.
 * **Knows** nothing.
 */

/** A partition of a topic, as `topic/partition`. */
export type Seat = string;

export class Member {
  readonly #folder: string;
  readonly #number: number;
  readonly #presence: Deno.FsFile;
  readonly #owned = new Map<Seat, Deno.FsFile>();

  private constructor(folder: string, number: number, presence: Deno.FsFile) {
    this.#folder = folder;
    this.#number = number;
    this.#presence = presence;
  }

  /** Joins the group: takes the lowest free number and makes itself seen. */
  static join(folder: string): Member {
    Deno.mkdirSync(folder, { recursive: true });
    for (let number = 0;; number++) {
      const presence = Deno.openSync(`${folder}/member-${number}`, { create: true, write: true });
      if (presence.tryLockSync(true)) {
        const member = new Member(folder, number, presence);
        member.#ring();
        return member;
      }
      presence.close();
    }
  }

  get owned(): ReadonlyMap<Seat, unknown> {
    return this.#owned;
  }

  /**
   * Gives up the seats that are now another's and takes the free ones that are now its own. Seats go round the members
   * in the order of their numbers. `leave` is waited for before a seat is free for another. `settled` is false while
   * another still holds a seat that is due to this member.
   */
  async share(
    seats: readonly Seat[],
    leave: (seat: Seat) => Promise<void>,
  ): Promise<{ readonly taken: readonly Seat[]; readonly settled: boolean }> {
    const present = this.#present();
    const mine = new Set(seats.filter((_, i) => present[i % present.length] === this.#number));
    const left = [...this.#owned.keys()].filter((seat) => !mine.has(seat));
    for (const seat of left) {
      await leave(seat);
      this.#release(seat);
    }
    if (left.length > 0) this.#ring();
    const taken: Seat[] = [];
    for (const seat of mine) {
      if (this.#owned.has(seat)) continue;
      let lock: Deno.FsFile;
      try {
        lock = Deno.openSync(pathOf(this.#folder, seat), { create: true, read: true, write: true });
      } catch (error) {
        // Nobody would hear of the ones that were taken before.
        for (const name of taken) this.#release(name);
        throw error;
      }
      if (lock.tryLockSync(true)) {
        this.#owned.set(seat, lock);
        taken.push(seat);
        sign(lock);
      } else lock.close();
    }
    return { taken, settled: this.#owned.size === mine.size };
  }

  leave(): void {
    for (const seat of [...this.#owned.keys()]) this.#release(seat);
    this.#presence.close();
    this.#ring();
  }

  /** Numbers of the members whose presence is locked, this one included, rising. */
  #present(): number[] {
    const numbers: number[] = [];
    for (const entry of Deno.readDirSync(this.#folder)) {
      const found = /^member-(\d+)$/.exec(entry.name);
      if (found === null) continue;
      const number = Number(found[1]);
      if (number === this.#number || this.#isPresent(entry.name)) numbers.push(number);
    }
    return numbers.sort((a, b) => a - b);
  }

  #isPresent(name: string): boolean {
    const file = Deno.openSync(`${this.#folder}/${name}`, { write: true });
    const free = file.tryLockSync(false);
    file.close();
    return !free;
  }

  #release(seat: Seat): void {
    this.#owned.get(seat)?.close();
    this.#owned.delete(seat);
  }

  /** Wakes the members that watch the folder. Where there is no room for it they learn at their next roll call. */
  #ring(): void {
    try {
      Deno.writeTextFileSync(`${this.#folder}/bell`, `${this.#number}\n`);
    } catch (error) {
      unlessFull(error);
    }
  }
}

/** Whether a process that lives has the seat, and which, if it could note it; without joining the group. */
export function readerOf(folder: string, seat: Seat): { readonly pid: number | null } | null {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(pathOf(folder, seat));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  try {
    // As readers share it, and given back at once.
    if (file.tryLockSync(false)) return null;
    return { pid: pidIn(file) };
  } finally {
    file.close();
  }
}
const PID_BYTES = 16;

function pathOf(folder: string, seat: Seat): string {
  return `${folder}/seat-${seat.replace("/", "-")}`;
}

/** Notes in a seat which process has it, unless it does already, for people: what counts is its lock. */
function sign(seat: Deno.FsFile): void {
  if (pidIn(seat) === Deno.pid) return;
  try {
    seat.seekSync(0, Deno.SeekMode.Start);
    seat.writeSync(new TextEncoder().encode(`${Deno.pid}\n`.padStart(PID_BYTES)));
  } catch (error) {
    unlessFull(error);
  }
}

/** The process that a seat's note names; null without one. */
function pidIn(seat: Deno.FsFile): number | null {
  const text = new Uint8Array(PID_BYTES);
  const pid = Number(new TextDecoder().decode(text.subarray(0, seat.readSync(text) ?? 0)));
  return pid > 0 ? pid : null;
}

function unlessFull(error: unknown): void {
  if (!/^(ENOSPC|EDQUOT)$/.test(String((error as { code?: unknown }).code))) throw error;
}
