/** The door's list of matches from the server's list of replays. */

/** One line of the list of replays. */
export interface ReplayLine {
  readonly id: string;
  readonly label: string;
  readonly note: string;
}

/** @param body what `GET /api/replays` answered, unchecked. @param linesMax the newest so many */
export function replayLines(body: unknown, linesMax: number): ReplayLine[] {
  const list = (body as { replays?: unknown }).replays;
  if (!Array.isArray(list)) return [];
  return list.slice(0, linesMax).flatMap((entry: unknown): ReplayLine[] => {
    const { id, createdAtMs, ticks, tickRateHz, result } = entry as Record<string, unknown>;
    if (typeof id !== 'string') return [];
    const label = typeof createdAtMs === 'number' ? new Date(createdAtMs).toLocaleString() : id;
    const { reason, standings } = (result ?? {}) as { reason?: unknown; standings?: { name?: unknown }[] };
    // Who led when everybody left, or the server stopped, has won nothing.
    const winner = reason === 'completed' ? standings?.[0]?.name : undefined;
    const minutes = Number(ticks) / Number(tickRateHz) / 60;
    const length = Number.isFinite(minutes) ? `${minutes.toFixed(1)} min` : '';
    return [{ id, label, note: typeof winner === 'string' ? `won by ${winner} · ${length}` : length }];
  });
}
