/** Every view of the program: what the server folds and `npm run views` lists. Areas add theirs. */
import type { Projection } from '../events/projection.ts';
import type { Tx } from './database.ts';
import { boardsView } from './postgres-boards.ts';
import { economyView } from './postgres-economy-view.ts';
import { friendsView } from './postgres-friends.ts';
import { ratingsView } from './postgres-ratings-view.ts';
import { resultsView } from './postgres-results-view.ts';

export function allViews(): readonly Projection<Tx>[] {
  return [resultsView(), economyView(), ratingsView(), boardsView(), friendsView()];
}
