/**
 * The three ways in which a command ends badly on purpose, and the exit code of each. Everything else that is thrown
 * is a bug and shows its stack.
 *
 * **Knows** nothing.
 */

/** How a process ends; README, section "Exit codes". */
export const EXIT = { done: 0, failed: 1, misuse: 2, findings: 3, refused: 4 } as const;

/** The user asked for what cannot be asked: a wrong flag, an impossible date. Exit 2, with the usage. */
export class Misuse extends Error {
  override readonly name = "Misuse";
}

/** Something outside is not there or does not answer; worth trying again until a bound. Exit 1 when it outlives it. */
export class Outage extends Error {
  override readonly name = "Outage";
}

/** Going on would damage data: fenced, data loss, a foreign log, a newer format. Exit 4; never retried. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** The refusal of an epoch that is over: another one has the place. */
export class Fenced extends Refusal {}

/** The exit code of a process that ends with this error. */
export function codeOf(error: unknown): number {
  return error instanceof Misuse ? EXIT.misuse : error instanceof Refusal ? EXIT.refused : EXIT.failed;
}

/** Exit code of a command that came to its end and has found so much. */
export function exitOf(findings: number): number {
  return findings > 0 ? EXIT.findings : EXIT.done;
}

/** The message of anything thrown, on one line and without control characters that a terminal would obey. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return printable(text.replace(/\s*\n\s*/g, "; "));
}

/** What may be shown of a URL: neither a login, whatever stands in its password, nor the values of parameters. */
export function shownUrl(url: string): string {
  return url.replace(/^(\w+:\/\/|).*@/s, "$1***@").replace(/\?.*$/s, "?…");
}

const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** `text` with control, format and bidi characters shown as escapes, so that it may reach a terminal or a log. */
export function printable(text: string): string {
  return text.replace(OBEYED, (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, "0")}`);
}

/** The same for a text of several lines, which stay. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** `value` as JSON on one line that may reach a terminal: it parses to the same, whatever its texts hold. */
export function printableJson(value: unknown): string {
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(OBEYED, (c) => c.split("").map(escaped).join(""));
}
