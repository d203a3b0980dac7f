/** Every event of the program. Append-only, like what it lists. */
import { EventCatalogue } from './event.ts';
import { MatchEnded } from './match-events.ts';

export const EVENTS = new EventCatalogue([MatchEnded]);
