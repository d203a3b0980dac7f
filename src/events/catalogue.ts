/** Every event of the program. Append-only, like what it lists. */
import { ACCOUNT_EVENTS } from './account-events.ts';
import { ECONOMY_EVENTS } from './economy-events.ts';
import { EventCatalogue } from './event.ts';
import { FRIEND_EVENTS } from './friend-events.ts';
import { LEADERBOARD_EVENTS } from './leaderboard-events.ts';
import { MatchEnded } from './match-events.ts';

export const EVENTS = new EventCatalogue([
  MatchEnded,
  ...ACCOUNT_EVENTS,
  ...ECONOMY_EVENTS,
  ...LEADERBOARD_EVENTS,
  ...FRIEND_EVENTS,
]);
