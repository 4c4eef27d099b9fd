/**
 * Results as lines for people: whatever fails, the worst first, and all that pass where they are few.
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
  const shown = [...failed.slice(0, FAILED_SHOWN), ...(passed.length <= PASSED_SHOWN ? passed : [])];
  const head = ["verdict", "expectation", "venue", "symbol", "table", "observed", "wanted", "evidence"];
  const rows = shown.map(({ status, severity, name, venue, symbol, table, observed, wanted, evidence }) => [
    status === "pass" ? "pass" : severity,
    ...[name, venue, symbol ?? "", table, observed, wanted, evidence ?? ""],
  ]);
  return [
    ...(rows.length > 0 ? columns([head, ...rows], () => true) : []),
    ...(failed.length > FAILED_SHOWN ? [`and ${failed.length - FAILED_SHOWN} more that fail, see --json`] : []),
    SEVERITIES.map((severity) => `${failed.filter((result) => result.severity === severity).length} ${severity}`)
      .join(", ") + `, ${passed.length.toLocaleString("en")} passed`,
  ];
}
