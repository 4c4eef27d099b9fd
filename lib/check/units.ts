/**
 * The work of a date in units, and units in shares that take about as long as each other.
 *
 * **In** parts of the instruments, **Out** shares of units. **Knows** `kind`, `stand`.
 */
import { type Subject, SUBJECTS } from "./kind.ts";
import { type Part, rowsIn } from "./stand.ts";

/** What is looked at in one go: some subjects of a part. */
export interface Unit {
  /** Its place among the units of the date. */
  readonly number: number;
  readonly part: Part;
  readonly subjects: readonly Subject[];
}

const QUOTED: readonly Subject[] = ["quotes"];
const OTHERS = SUBJECTS.filter((subject) => subject !== "quotes");
/** A trade is joined with its quote, which takes longer than all that is asked of a quote. */
const TRADE_WEIGHT = 2.5;

/** A unit a part, or two where a part is one instrument of more than `rowsMax` rows. */
export function unitsOf(parts: readonly Part[], rowsMax: number): readonly Unit[] {
  return parts
    .flatMap((part) =>
      rowsIn(part, "quotes") > rowsMax && part.instruments.length === 1
        ? [{ part, subjects: QUOTED }, { part, subjects: OTHERS }]
        : [{ part, subjects: SUBJECTS }]
    )
    .map((unit, number) => ({ number, ...unit }));
}

/** Shares out units to so many, the heaviest first; at most one share for each `rowsMin` rows. */
export function sharesOf(units: readonly Unit[], many: number, rowsMin: number): readonly (readonly Unit[])[] {
  const rows = units.reduce((sum, unit) => sum + rowsOf(unit), 0);
  const shares = Array.from({ length: Math.max(1, Math.min(many, units.length, Math.floor(rows / rowsMin))) }, () => ({
    weight: 0,
    units: [] as Unit[],
  }));
  for (const unit of units.toSorted((a, b) => weightOf(b) - weightOf(a))) {
    const lightest = shares.reduce((least, share) => share.weight < least.weight ? share : least);
    lightest.units.push(unit);
    lightest.weight += weightOf(unit);
  }
  return shares.map(({ units }) => units.toSorted((a, b) => a.number - b.number));
}

const rowsOf = ({ part, subjects }: Unit): number => subjects.reduce((sum, subject) => sum + rowsIn(part, subject), 0);
const weightOf = (unit: Unit): number =>
  rowsOf(unit) + (unit.subjects.includes("trades") ? (TRADE_WEIGHT - 1) * rowsIn(unit.part, "trades") : 0);
