// Before anything else of the app, which takes a moment to come. A file of its own, as no script may stand in the page.
;(function () {
  // Dark or light before the first paint, so that no page flashes.
  var wish = null
  try {
    wish = localStorage.getItem('gantry-theme')
  } catch (error) {
    // a browser that keeps nothing follows the system
  }
  var dark = wish === 'dark' || (wish !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.add(dark ? 'dark' : 'light')

  // What the first page asks for, written as it asks: taken once by src/api/index.ts, which asks again for what failed.
  var FIRST = {
    '/': ['/overview'],
    '/dashboard': ['/overview'],
    '/studies': ['/studies?sort=received&order=desc&limit=200', '/study-facets'],
  }
  var asked = (window.gantryAhead = new Map())
  function ask(address) {
    var answer = fetch('/api/v1' + address, { headers: { Accept: 'application/json' }, credentials: 'same-origin' })
    answer.catch(function () {}) // who wants it asks again, and says what is wrong
    asked.set('/api/v1' + address, answer)
  }
  ask('/welcome')
  // Only who has been here has this; others would be refused.
  if (!location.search && document.cookie.includes('csrftoken=')) (FIRST[location.pathname] || []).forEach(ask)
})()
