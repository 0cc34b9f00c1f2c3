import { shallowRef } from 'vue'
import { api, asApiError, type ApiError, type Schemas } from '@/api'

export const ROLES = ['administrator', 'operator', 'clinician', 'researcher', 'viewer', 'none'] as const
export type Role = (typeof ROLES)[number]
export const MEMBER_ROLES = ['operator', 'clinician', 'researcher', 'viewer'] as const
export type MemberRole = (typeof MEMBER_ROLES)[number]

/** The names that forms choose from, loaded once when somebody asks for them. */
export function useNames() {
  const users = shallowRef<Schemas['UserOut'][]>([])
  const institutes = shallowRef<Schemas['InstituteOut'][]>([])
  const groups = shallowRef<Schemas['PeopleGroupOut'][]>([])
  const actions = shallowRef<Schemas['ActionOut'][]>([])
  const error = shallowRef<ApiError | null>(null)
  const query = { limit: 1000 }

  async function take<T>(call: Promise<{ items: T[] }>, into: { value: T[] }): Promise<void> {
    try {
      into.value = (await call).items
    } catch (thrown) {
      error.value = asApiError(thrown)
    }
  }
  return {
    users,
    institutes,
    groups,
    actions,
    error,
    loadUsers: () => take(api.get('/users', { query }), users),
    loadInstitutes: () => take(api.get('/institutes', { query }), institutes),
    loadGroups: () => take(api.get('/groups', { query }), groups),
    loadActions: () => take(api.get('/actions'), actions),
  }
}

/** First and last name, or the user name of an account without. */
export function fullName(user: { username: string; first_name: string; last_name: string }): string {
  return [user.first_name, user.last_name].filter(Boolean).join(' ') || user.username
}
