/** Plays the golden match in this browser's engine and leaves the verdict where the test finds it. */

import golden from '../../golden/arena-match.json';
import { type GoldenMatch, verifyGolden } from '../../golden/golden-match.ts';

const faults = verifyGolden(golden as GoldenMatch);
document.body.dataset['faults'] = JSON.stringify(faults);
