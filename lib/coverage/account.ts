/**
 * What became of each minute of an instrument's day. A minute with rows is collected, one without is closed, quiet or
 * lost as calendar, venue and collector tell; what none of them tells of is unaccounted, the worst that there is.
 *
 * **In** the facts of an instrument, **Out** its minutes, and its holes with their reasons. **Knows** nothing.
 */

/** What a minute can be, the worst first. `unasked`: nobody was to collect it, or it is not over. */
export const FATES = ["unaccounted", "lost", "collected", "quiet", "closed", "unasked"] as const;
export type Fate = typeof FATES[number];

/** A connection's or a venue's word about an instrument. */
export interface Told {
  /** Minute of the window. */
  readonly minute: number;
  readonly state: string;
  readonly detail: string | null;
}

/** What is known of an instrument; minutes are counted from the midnight before its day's, three days long. */
export interface Facts {
  /** Whether a minute has rows of it. */
  readonly present: Uint8Array;
  /** Whether some of them came live and in time: others neither begin nor end the time that was collected. */
  readonly prompt: Uint8Array;
  /** Whether anything of its venue was heard live in a minute. */
  readonly alive: Uint8Array;
  /** In the order of time. */
  readonly told: readonly Told[];
  /** What was told last before the window, of its connection and of its trading; null where nothing was. */
  readonly before: { readonly line: string | null; readonly trading: string | null };
  /** Whether its market is open in a minute; null where no calendar knows. */
  readonly isOpen: ((minute: number) => boolean) | null;
  /** The first minute that is not over. */
  readonly horizon: number;
}

/** A stretch of minutes that are lost or unaccounted; `to` is no longer included. */
export interface Hole {
  readonly fate: "lost" | "unaccounted";
  readonly from: number;
  readonly to: number;
  readonly why: string;
}

/** Minutes of a day, and of the window around it. */
export const DAY = 1_440;
export const WINDOW = 3 * DAY;
/** A live venue is silent for longer only where something is wrong. */
const SILENT_MINUTES = 5;
/** How far around a silence is looked for how busy the instrument was. */
const AROUND = 60;
/** How improbable a silence must be, among all of a day, to be no quiet one. */
const IMPROBABLE = 1e-5;

const DOWN = ["disconnected", "silent"];

/**
 * Whether a word is that of a collector, who is to go on from there. A "connected" that names no connection is the venue's
 * own, whose numbers begin anew, and a book that is in sync is told of with its reason.
 */
export function isCollectors({ state, detail }: Pick<Told, "state" | "detail">): boolean {
  if (state === "connected") return detail !== null;
  return DOWN.includes(state) || state === "subscribed" && detail?.startsWith("book ") !== true;
}
/** The same of rows of status, in SQL. */
export const COLLECTORS = `state IN ('disconnected', 'silent') OR state = 'connected' AND detail IS NOT NULL
  OR state = 'subscribed' AND NOT starts_with(coalesce(detail, ''), 'book ')`;

const RESTING = ["halted", "maintenance", "closed"];
const TRADING = ["trading", "auction"];

/** The fates of the day's minutes, and its holes. */
export function account(facts: Facts): { readonly fates: readonly Fate[]; readonly holes: readonly Hole[] } {
  const { present, prompt, alive, isOpen, horizon, told, before } = facts;
  const { lost, rests, returns, isVouched } = hear(facts);
  const whys: (string | null)[] = new Array(WINDOW).fill(null);
  const begun = before.line !== null ? 0 : Math.min(
    first(prompt, WINDOW),
    told.length > 0 ? told[0]!.minute : WINDOW,
  );
  const ended = last(alive, WINDOW);
  const fates = Array.from({ length: WINDOW }, (_, m): Fate => {
    if (m >= horizon || m < begun && present[m] !== 1) return "unasked";
    const isClosed = rests[m] === 1 || isOpen?.(m) === false;
    if (lost[m] !== null && (present[m] === 1 || !isClosed)) {
      whys[m] = lost[m]!;
      return "lost";
    }
    if (present[m] === 1) return "collected";
    if (isClosed) return "closed";
    if (returns[m] === 1) whys[m] = "the collector came back, and nobody had told that it was gone";
    else if (m > ended) {
      if (!isVouched) return "unasked";
      if (horizon - ended > SILENT_MINUTES) {
        whys[m] = "nothing of the venue was heard again; sink-cold --once brings what the log may have beyond";
      }
    } else if (!isVouched && silence(alive, m) > SILENT_MINUTES) {
      whys[m] = "nothing of the venue was heard, and no collector tells why";
    }
    return whys[m] === null ? "quiet" : "unaccounted";
  });
  // Without a calendar a close is not told from a hole.
  if (isOpen !== null) doubt(fates, whys);
  const day = fates.slice(DAY, 2 * DAY);
  return { fates: day, holes: holesOf(day, whys.slice(DAY, 2 * DAY)) };
}

/** What the words of connection and venue come to, minute by minute. */
function hear({ prompt, alive, told, before, horizon }: Facts) {
  const lost: (string | null)[] = new Array(WINDOW).fill(null);
  const rests = new Uint8Array(WINDOW), returns = new Uint8Array(WINDOW);
  let down = before.line !== null && DOWN.includes(before.line) ? { from: 0, why: before.line } : null;
  let resting = before.trading !== null && RESTING.includes(before.trading) ? 0 : null;
  let isVouched = before.line !== null;
  for (const word of told) {
    const { minute, state, detail } = word;
    const why = detail === null ? state : `${state}: ${detail}`;
    if (state === "gap") {
      lost.fill(why, Math.max(0, last(prompt, minute)), minute + 1);
    } else if (DOWN.includes(state)) {
      down ??= { from: minute, why };
    } else if (RESTING.includes(state)) resting ??= minute;
    else if (TRADING.includes(state)) {
      if (resting !== null) rests.fill(1, resting, minute);
      resting = null;
    } else {
      if (down !== null) lost.fill(down.why, down.from, minute + 1);
      else if (isVouched && state === "connected") returns.fill(1, last(alive, minute) + 1, minute);
      down = null;
    }
    isVouched ||= isCollectors(word);
  }
  if (down !== null) lost.fill(down.why, down.from, horizon);
  if (resting !== null) rests.fill(1, resting);
  return { lost, rests, returns, isVouched };
}

/** Turns what would be quiet into a hole where the instrument was too busy around it to fall silent by chance. */
function doubt(fates: Fate[], whys: (string | null)[]): void {
  for (let from = 0; from < WINDOW; from++) {
    if (fates[from] !== "quiet") continue;
    let to = from;
    while (fates[to] === "quiet") to++;
    const busy = [around(fates, from - 1, -1), around(fates, to, 1)].filter((share) => share !== null);
    const length = to - from;
    if (length >= SILENT_MINUTES && busy.length > 0 && DAY * (1 - Math.min(...busy)) ** length < IMPROBABLE) {
      const why = `no row for ${length} minutes, of which ${Math.round(Math.min(...busy) * 100)} % have rows around it`;
      fates.fill("unaccounted", from, to);
      whys.fill(why, from, to);
    }
    from = to;
  }
}

/** The share of minutes with rows among the next ones that could have some; never all of them, null where there are none. */
function around(fates: readonly Fate[], from: number, step: 1 | -1): number | null {
  let collected = 0, all = 0;
  for (let m = from; m >= 0 && m < WINDOW && all < AROUND; m += step) {
    if (fates[m] === "collected") collected++;
    else if (fates[m] !== "quiet") {
      if (all === 0 || fates[m] === "unasked") break;
      continue;
    }
    all++;
  }
  return all === 0 ? null : collected / (all + 1);
}

function holesOf(fates: readonly Fate[], whys: readonly (string | null)[]): readonly Hole[] {
  const holes: Hole[] = [];
  fates.forEach((fate, m) => {
    if (fate !== "lost" && fate !== "unaccounted") return;
    const hole = holes.at(-1);
    if (hole?.to === m && hole.fate === fate && hole.why === whys[m]) holes[holes.length - 1] = { ...hole, to: m + 1 };
    else holes.push({ fate, from: m, to: m + 1, why: whys[m] ?? "" });
  });
  return holes;
}

/** The first minute that is set, `WINDOW` where none is. */
const first = (minutes: Uint8Array, none: number): number => {
  const found = minutes.indexOf(1);
  return found < 0 ? none : found;
};

/** The last minute before `until` that is set; -1 where none is. */
const last = (minutes: Uint8Array, until: number): number => until <= 0 ? -1 : minutes.lastIndexOf(1, until - 1);

/** How many minutes the venue was silent around one of them. */
function silence(alive: Uint8Array, minute: number): number {
  const next = alive.indexOf(1, minute);
  return (next < 0 ? WINDOW : next) - last(alive, minute) - 1;
}
