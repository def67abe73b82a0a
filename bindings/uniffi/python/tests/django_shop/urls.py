from django.contrib import admin
from django.urls import path
from vidcache.django.webhook import receive

urlpatterns = [path("admin/", admin.site.urls), path("hubspot/webhooks", receive)]
