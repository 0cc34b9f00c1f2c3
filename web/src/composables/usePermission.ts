import { useSession } from './useSession'

/** `may('studies.delete')`: whether the person of this session may. What you may not do is not offered. */
export function usePermission() {
  const { session } = useSession()
  return { may: (action: string): boolean => action === '' || (session.value?.actions.includes(action) ?? false) }
}
