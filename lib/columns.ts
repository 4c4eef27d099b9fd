/**
 * Rows of text laid out as columns, for people.
 *
 * **In** cells, **Out** lines. **Knows** nothing.
 */

/** Lines of equal columns, the names in the first row; those that `isWord` says stand to the left, numbers to the right. */
export function columns(rows: readonly (readonly string[])[], isWord: (name: string) => boolean): string[] {
  const head = rows[0]!;
  const widths = head.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row.map((cell, i) => isWord(head[i]!) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ").trimEnd()
  );
}
