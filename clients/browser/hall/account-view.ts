/** Signing in and out, registering a guest, and changing the name. */
import { element } from '../hud/element.ts';
import { actionButton, form, heading, line, type View, type ViewContext } from './view.ts';

const EMAIL = { name: 'email', label: 'E-mail', type: 'email', autocomplete: 'username' } as const;
const PASSWORD = { name: 'password', label: 'Password', type: 'password', autocomplete: 'current-password' } as const;
const NEW_PASSWORD = {
  name: 'password',
  label: 'Password',
  type: 'password',
  autocomplete: 'new-password',
  hint: '8 to 256 characters.',
} as const;
const NAME = {
  name: 'name',
  label: 'Display name',
  type: 'text',
  autocomplete: 'nickname',
  hint: '1 to 20 visible characters that nobody else has. Everybody sees it.',
} as const;

/** `#account` */
export const accountView: View = (body, context) => {
  const { account } = context.session;
  body.append(heading('Account'));
  if (account === undefined) {
    body.append(line('Nobody is signed in here.'), signIn(context), register(context, 'Register'));
  } else if (account.isAnonymous) {
    body.append(
      line('You play as a guest. Registered, you keep your rating, purse, items and friends, on every device.'),
      register(context, 'Keep this player'),
      signIn(context),
    );
  } else {
    body.append(
      line(
        `Signed in${account.name === '' ? '' : ` as ${account.name}`}${account.email ? ` (${account.email})` : ''}.`,
      ),
      rename(context),
      element('div', { class: 'hall-row' }, [
        actionButton('Sign out', () => context.session.signOut(false)),
        actionButton('Sign out everywhere', () => context.session.signOut(true)),
      ]),
    );
  }
};

function signIn({ session }: ViewContext): HTMLElement {
  const title = session.account === undefined ? 'Sign in' : 'Sign in as somebody else';
  return form(title, [EMAIL, PASSWORD], 'Sign in', async ({ email, password }) => {
    await session.signIn(email!, password!);
    location.hash = '#me';
    return '';
  });
}

function register({ session }: ViewContext, title: string): HTMLElement {
  const name = { ...NAME, isOptional: true };
  return form(title, [EMAIL, NEW_PASSWORD, name], 'Register', async (values) => {
    await session.register(values['email']!, values['password']!, values['name']!);
    location.hash = '#me';
    return '';
  });
}

function rename({ api, session }: ViewContext): HTMLElement {
  const field = { ...NAME, value: session.account?.name ?? '' };
  return form('Change your name', [field], 'Change name', async ({ name }) => {
    const changed = await api.put<{ name: string }>('/api/me/name', { name });
    session.rename(changed.name);
    return `You are ${changed.name} now.`;
  });
}
