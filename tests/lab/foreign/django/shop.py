"""Orders that a Celery worker counts in Redis, by Django: one file."""

import os

import django
import redis
from celery import Celery
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

BROKER = "redis://redis:6379/0"
app = Celery("shop", broker=BROKER)
store = redis.Redis.from_url(BROKER)
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="shop", SECRET_KEY="x", DEBUG=False)
django.setup()


@app.task(name="count")
def count(order):
    store.rpush("counted", f"{order} {os.environ['VERSION']}")


@app.task(name="tick")
def tick(scheduler):
    store.rpush("ticks", scheduler)


version = os.environ["VERSION"]
app.conf.beat_schedule = {"tick": {"task": "tick", "schedule": 0.5, "args": (version,)}}


def index(_request):
    return HttpResponse(f"a shop of version {os.environ['VERSION']}\n")


@csrf_exempt
def orders(request):
    if request.method == "POST":
        order = request.body.decode()
        store.rpush("orders", order)
        count.delay(order)
        return HttpResponse("thank you\n")
    return HttpResponse(b"".join(each + b"\n" for each in store.lrange("orders", 0, -1)))


def counted(_request):
    return HttpResponse(b"".join(each + b"\n" for each in store.lrange("counted", 0, -1)))


def ticks(_request):
    return HttpResponse(b"".join(each + b"\n" for each in store.lrange("ticks", 0, -1)))


urlpatterns = [
    path("", index),
    path("orders", orders),
    path("counted", counted),
    path("ticks", ticks),
]
application = get_wsgi_application()
