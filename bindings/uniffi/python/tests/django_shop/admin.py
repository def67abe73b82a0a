from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from vidcache.django.admin import VidcacheExplained

admin.site.unregister(get_user_model())


@admin.register(get_user_model())
class ExplainedUserAdmin(VidcacheExplained, UserAdmin):
    pass
