import { computed, readonly, ref, shallowRef } from 'vue'
import { api, type Schemas } from '@/api'

export type Session = Schemas['SessionOut']
export type Welcome = Schemas['WelcomeOut']

const session = shallowRef<Session | null>(null)
const welcome = shallowRef<Welcome | null>(null)
/** Whether the sign-in dialog stands over the page. */
const asking = ref(false)
/** The password that somebody else has made and that was typed a moment ago: the page that asks for another need not ask for it again. */
const given = ref('')
let waiting: ((again: boolean) => void)[] = []

async function load(): Promise<void> {
  const answer = await api.get('/welcome')
  welcome.value = answer
  session.value = answer.session ?? null
}

async function signIn(username: string, password: string, code = ''): Promise<Session> {
  const answer = await api.post('/session', { body: { username, password, code } })
  session.value = answer
  given.value = answer.must_change_password ? password : ''
  return answer
}

async function signOut(): Promise<void> {
  await api.delete('/session')
  session.value = null
  given.value = ''
}

/** Open the dialog and wait for it: true when the same person is back. */
function askAgain(): Promise<boolean> {
  if (!session.value) return Promise.resolve(false)
  asking.value = true
  return new Promise((resolve) => waiting.push(resolve))
}

/** Told by the dialog. */
function answered(again: boolean): void {
  asking.value = false
  const resolvers = waiting
  waiting = []
  for (const resolve of resolvers) resolve(again)
  if (!again) session.value = null
}

async function chooseInstitute(name: string): Promise<void> {
  session.value = await api.put('/session/institute', { body: { name } })
}

/** Who is signed in; one for the whole app. */
export function useSession() {
  return {
    session: readonly(session),
    welcome: readonly(welcome),
    asking: readonly(asking),
    given: readonly(given),
    signedIn: computed(() => session.value !== null),
    load,
    signIn,
    signOut,
    askAgain,
    answered,
    chooseInstitute,
    set: (value: Session) => {
      session.value = value
      if (!value.must_change_password) given.value = ''
    },
  }
}
