/** What an event means to the boards: the pure half of their fold. */
import { isEvent } from '../events/event.ts';
import type { StoredEvent } from '../events/event-log.ts';
import { ScoreSubmitted } from '../events/leaderboard-events.ts';
import { MatchEnded } from '../events/match-events.ts';
import type { Board, Boards } from './boards.ts';
import type { Season } from './calendar.ts';

/** A player's place on a board, without the rank, which depends on all others. */
export interface Entry {
  readonly playerId: string;
  /** Safe integer, in the board's own unit. */
  readonly score: number;
  /** Position of the event that made the score what it is: of equal scores the smaller one stands first. */
  readonly achieved: number;
}

/** One score that an event brings to one board. */
export interface Contribution {
  readonly board: Board;
  readonly season: Season;
  readonly playerId: string;
  readonly score: number;
  readonly position: number;
}

/** What an event brings to the boards, in the order of the standings. */
export function contributionsOf(boards: Boards, event: StoredEvent): Contribution[] {
  const { position, recordedAtMs } = event;
  const from = (board: Board, playerId: string, score: number): Contribution => ({
    board,
    season: board.seasons.at(recordedAtMs),
    playerId,
    score: score + 0, // no -0, which would print as another score than 0
    position,
  });
  if (isEvent(ScoreSubmitted, event)) {
    const board = boards.get(event.payload.boardId);
    // A board that is not declared any more: its events stay in the log and mean nothing.
    return board === undefined ? [] : [from(board, event.payload.playerId, event.payload.score)];
  }
  if (!isEvent(MatchEnded, event) || event.payload.reason !== 'completed') return [];
  const { roomName, standings } = event.payload;
  const people = standings.filter(({ isBot, playerId }) => !isBot && playerId !== '');
  return boards.all.flatMap((board) => {
    const { source } = board;
    if (source === 'submitted' || source.roomName !== roomName) return [];
    return people.flatMap(({ playerId, score }) => {
      const value = Object.hasOwn(score, source.column) ? score[source.column] : undefined;
      return value === undefined ? [] : [from(board, playerId, value)];
    });
  });
}

/**
 * The entry after one more score; the same object when nothing changes. A sum stops at the largest safe integer. An
 * equal score never moves an entry: it was achieved when it was first reached.
 */
export function withScore(
  board: Pick<Board, 'operator' | 'order'>,
  entry: Entry | undefined,
  added: Contribution,
): Entry {
  const { playerId, position } = added;
  if (entry === undefined) return { playerId, score: added.score, achieved: position };
  const score = nextScore(board, entry.score, added.score);
  return score === entry.score ? entry : { playerId, score, achieved: position };
}

function nextScore({ operator, order }: Pick<Board, 'operator' | 'order'>, present: number, added: number): number {
  switch (operator) {
    case 'latest':
      return added;
    case 'best':
      return order === 'descending' ? Math.max(present, added) : Math.min(present, added);
    case 'sum':
      return Math.min(Math.max(present + added, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  }
}

/** Best first; equal scores by who was there first; who got there by one event, by id. Never 0 for two players. */
export function compareEntries(order: Board['order'], a: Entry, b: Entry): number {
  if (a.score !== b.score) return a.score < b.score === (order === 'ascending') ? -1 : 1;
  if (a.achieved !== b.achieved) return a.achieved - b.achieved;
  return a.playerId < b.playerId ? -1 : a.playerId > b.playerId ? 1 : 0;
}
