// Orders in a file of a volume that both colors may append to, by Express.
const express = require('express')
const fs = require('fs')
const app = express()
app.use(express.text({ type: () => true }))
app.get('/', (_, response) => response.send(`a shop of version ${process.env.VERSION}\n`))
app.post('/orders', (request, response) => {
  fs.appendFileSync('/uploads/orders', `${request.body}\n`)
  response.send('thank you\n')
})
app.get('/orders', (_, response) => response.send(fs.readFileSync('/uploads/orders', 'utf8')))
app.listen(3000, '0.0.0.0')
