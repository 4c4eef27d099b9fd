/**
 * What `redrive` keeps between runs: which letters it has had, and of each run what it wanted, what it sent and where that
 * lies in `ticks.raw`. A run that was interrupted is closed by the next one, as far as the log shows that it came.
 *
 * **In** the checkpoint's text, **Out** the same with one run more. **Knows** `redrive`, `tape`, `transport`, `failure`.
 */
import { Refusal } from "../failure.ts";
import { type Claim, type Fate, FATES, type Wanted, withClaim } from "../redrive.ts";
import type { Tape } from "../tape.ts";
import { type Range, TOPICS, type Transport } from "../transport.ts";

const FORMAT = 1;
/** Runs that are remembered with all that they did; what letters older ones had stays known. */
const RUNS_MAX = 1_000;
/** Different wishes that are remembered: of each the letters that it had. */
const CLAIMS_MAX = 10_000;

/** One run. Lists have an entry for each partition. */
export interface Run {
  /** Names the producer of its messages. */
  readonly id: string;
  /** ms since the epoch. */
  readonly at: number;
  readonly wanted: Wanted;
  readonly store: "hot" | "topic";
  /** `circuit`: too many of its messages were rejected again. */
  state: "open" | "done" | "stopped" | "interrupted" | "circuit";
  /** Letters that it wanted, and what became of them. */
  letters: number;
  sent: number;
  readonly fates: Record<Fate, number>;
  /** Letters below this origin it has looked at. */
  readonly upTo: number[];
  /** Its messages lie in these offsets of `ticks.raw`, between those of others, and so many they are. */
  readonly from: readonly number[];
  readonly next: number[];
  readonly sentIn: number[];
  /** Where `ticks.rejected` ended before its first message. */
  readonly rejectedFrom: readonly number[];
  /** Share of its messages that were rejected again when the circuit opened. */
  share?: number;
}

interface State {
  readonly format: number;
  readonly tape?: Tape;
  readonly claims: readonly Claim[];
  readonly runs: readonly Run[];
}

export class History {
  claims: readonly Claim[];
  readonly runs: Run[];
  readonly tape: Tape | undefined;

  /** What a checkpoint kept; nothing before the first run. @throws {Refusal} when a newer Tapedeck wrote it */
  constructor(text: string | null) {
    const state: State = text === null ? { format: FORMAT, claims: [], runs: [] } : JSON.parse(text);
    if (state.format > FORMAT) {
      throw new Refusal(
        `Cannot open state of redrive: its format is ${state.format}, must be at most ${FORMAT} (a newer Tapedeck wrote it)`,
      );
    }
    this.claims = state.claims;
    this.runs = [...state.runs];
    this.tape = state.tape;
  }

  get last(): Run | undefined {
    return this.runs.at(-1);
  }

  /** Begins a run. @throws {Refusal} when more different wishes than may be are kept */
  begin(run: Omit<Run, "state" | "letters" | "sent" | "fates">): Run {
    if (this.claims.length >= CLAIMS_MAX) {
      throw new Refusal(
        `Cannot redrive: ${this.claims.length} different wishes are kept, must be fewer; --since with the same time again is the same wish`,
      );
    }
    const fates = Object.fromEntries(Object.keys(FATES).map((name) => [name, 0])) as Record<Fate, number>;
    const begun: Run = { ...run, state: "open", letters: 0, sent: 0, fates };
    this.runs.push(begun);
    if (this.runs.length > RUNS_MAX) this.runs.shift();
    return begun;
  }

  /** Ends a run: what it has looked at is had. */
  end(run: Run, state: Exclude<Run["state"], "open">): void {
    run.state = state;
    this.claims = withClaim(this.claims, { wanted: run.wanted, upTo: run.upTo });
  }

  text(tape: Tape): string {
    return JSON.stringify({ format: FORMAT, tape, claims: this.claims, runs: this.runs } satisfies State);
  }

  /** Closes a run that was interrupted. */
  async close(run: Run, log: Pick<Transport, "read">, raw: readonly Range[]): Promise<void> {
    await this.follow(run, log, raw);
    this.end(run, "interrupted");
  }

  /** Follows a run that has not ended: the log alone knows how far it came since it last saved. */
  async follow(run: Run, log: Pick<Transport, "read">, raw: readonly Range[]): Promise<void> {
    for (const [partition, { low, high }] of raw.entries()) {
      const from = Math.max(low, run.next[partition] ?? high);
      if (from >= high) continue;
      for await (const records of log.read(TOPICS.raw, partition, from, high)) {
        for (const { offset, producer } of records) {
          if (producer?.id !== run.id) continue;
          run.upTo[partition] = producer.number + 1;
          run.next[partition] = offset + 1;
          run.sentIn[partition]!++;
          run.sent++;
        }
      }
    }
  }
}
