/**
 * Results as lines for people: whatever fails, the worst first, one line an expectation and table; all that pass where they
 * are few.
 *
 * **In** results, **Out** lines. **Knows** `columns`.
 */
import type { Result } from "../check.ts";
import { columns } from "../columns.ts";
import { SEVERITIES } from "./suite.ts";

const FAILED_SHOWN = 40, PASSED_SHOWN = 60;

/** Lines on what failed and what passed. */
export function linesOf(results: readonly Result[]): readonly string[] {
  if (results.length === 0) return [];
  const failed = SEVERITIES.flatMap((severity) =>
    results.filter((result) => result.status === "fail" && result.severity === severity)
  );
  const passed = results.filter(({ status }) => status === "pass");
  const groups = [
    ...Map.groupBy(failed, ({ name, venue, table, date }) => JSON.stringify([name, venue, table, date]))
      .values(),
  ];
  const shown = [
    ...groups.slice(0, FAILED_SHOWN).map(together),
    ...(passed.length <= PASSED_SHOWN ? passed : []),
  ];
  const head = ["verdict", "expectation", "venue", "symbol", "table", "observed", "wanted", "evidence"];
  const rows = shown.map(({ status, severity, name, venue, symbol, table, observed, wanted, evidence }) => [
    status === "pass" ? "pass" : severity,
    ...[name, venue, symbol ?? "", table, observed, wanted, evidence ?? ""],
  ]);
  return [
    ...(rows.length > 0 ? columns([head, ...rows], () => true) : []),
    ...(groups.length > FAILED_SHOWN ? [`and ${groups.length - FAILED_SHOWN} more that fail, see --json`] : []),
    SEVERITIES.map((severity) => `${failed.filter((result) => result.severity === severity).length} ${severity}`)
      .join(", ") + `, ${passed.length.toLocaleString("en")} passed`,
  ];
}

/** What an expectation found of several instruments, as one line with the worst of them. */
function together(results: readonly Result[]): Result {
  const worst = results.reduce((worst, result) => result.failing > worst.failing ? result : worst);
  if (results.length === 1) return worst;
  return { ...worst, symbol: `${results.length} symbols`, observed: `${worst.symbol}: ${worst.observed}` };
}
